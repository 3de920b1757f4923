"""Where an exception was raised: that is logged instead of its text, which may quote a header or a body (PY17)."""


def raised_at(error: BaseException | None) -> str:
    """Give function and line, such as ``Era.ask:112``; "" for an exception that was never raised."""
    traceback = None if error is None else error.__traceback__
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_qualname}:{traceback.tb_lineno}"
