"""A command is imported when it is named: the daemon keeps its imports in memory for days."""

import subprocess
import sys

import click

from credproxy.cli import main


def test_each_name_is_that_of_a_command() -> None:
    """Every listed command can be run, and an unknown name gives none."""
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        assert command.name == name
    assert main.get_command(context, "sevre") is None


def test_serve_brings_no_other_command_along() -> None:
    """Neither the doctor nor what looks for logins."""
    code = (
        "import sys, click\nfrom credproxy.cli import main\nmain.get_command(click.Context(main), 'serve')\n"
        "print([name for name in sys.modules if name.startswith(('credproxy.doctor', 'credproxy.helper'))])\n"
        "print(sorted(name for name in sys.modules if name.startswith('credproxy.cli.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others, own = done.stdout.splitlines()
    assert others == "[]"
    assert not [name for name in ("doctor", "bazelrc", "asking", "installing") if name in own]


def test_the_daemon_and_the_nursery_do_without_rich() -> None:
    """Structlog would import it, which only costs memory."""
    for first in ("credproxy.daemon", "credproxy.adapters.lean_imports"):
        code = (
            f"import sys, {first}\nfrom credproxy.adapters.lean_imports import import_structlog\nimport_structlog()\n"
            "import structlog.dev\nprint('rich' in sys.modules, 'pygments' in sys.modules)\nimport rich"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "False False\n"


def test_what_the_daemon_imports_is_never_looked_through_for_garbage() -> None:
    """It stays until the end; what is made later is collected as usual, also after an import that failed."""
    code = (
        "import gc, weakref\nfrom credproxy.adapters.lean_imports import kept_for_good\n"
        "try:\n    with kept_for_good():\n        print(gc.isenabled())\n        import absent\nexcept ImportError:\n    pass\n"
        "class Ring: pass\nring = Ring()\nring.itself, seen = ring, weakref.ref(ring)\ndel ring\ngc.collect()\n"
        "print(gc.isenabled(), seen() is None, Ring in gc.get_objects(), gc.get_freeze_count() > len(gc.get_objects()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nTrue True True True\n"


def test_serve_imports_the_daemon_like_that() -> None:
    """Or each start takes a tenth longer."""
    code = (
        "import gc\nimport credproxy.daemon\ncredproxy.daemon.run = lambda _: print(gc.isenabled(), gc.get_freeze_count() > 10_000)\n"
        "from credproxy.cli.serve import serve\nserve.main([], standalone_mode=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


def test_the_daemon_reads_no_certificates_for_contexts_that_it_does_not_use() -> None:
    """Aiohttp's own trust nobody then; those that are made later are as usual."""
    code = (
        "import ssl, credproxy.daemon\nfrom aiohttp import connector\n"
        "usual = connector._SSL_CONTEXT_VERIFIED\nprint(usual.verify_mode.name, usual.check_hostname)\n"
        "print([one.cert_store_stats()['x509'] for one in (usual, connector._SSL_CONTEXT_UNVERIFIED)])\n"
        "print('set_default_verify_paths' in vars(ssl.SSLContext))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "CERT_REQUIRED True\n[0, 0]\nFalse\n"
