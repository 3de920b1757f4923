"""Checks how the kernel confines the processes that talk to build actions."""

from collections.abc import Iterator

from credproxy.doctor.finding import Finding, Topic


topic = Topic("carriers")


def check(landlock: int, *, filtered: bool, unbound: int = 0) -> Iterator[Finding]:
    """Judge the confinement of carriers.

    Args:
        landlock: version of the kernel's Landlock; 0 if it has none or it is switched off.
        filtered: whether there is a filter of system calls for this architecture.
        unbound: running carriers that report that they can open files.
    """
    if landlock and unbound:
        yield topic.warning(
            f"{unbound} of them can open files, though this kernel has Landlock: something around the daemon forbids it, "
            "and a build action that took one over could read this user's files",
            "credproxy install renews the units; in a container, allow landlock_create_ruleset and landlock_restrict_self",
        )
    elif landlock and filtered:
        yield topic.ok(f"they open no file (Landlock {landlock}) and reach no local socket")
    if not landlock:
        yield topic.warning(
            "this kernel has no Landlock: a build action that took a carrier over could read this user's files",
            "Linux 5.13 or later, booted with landlock in lsm=: cat /sys/kernel/security/lsm",
        )
    if not filtered:
        yield topic.warning(
            "there is no filter of system calls for this machine: a build action that took a carrier over could connect "
            "to this user's other sockets",
            "use Linux on x86_64 or aarch64, or let no untrusted code build here",
        )
