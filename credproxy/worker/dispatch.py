"""Which function answers which question. Libraries are imported with the first question for them."""

from credproxy.core.ask.worker_messages import AwsChain, AzureToken, GoogleToken, LibraryAnswer, LibraryQuestion


def answer(question: LibraryQuestion, limit: float) -> LibraryAnswer:
    """Answer a question; blocks.

    Args:
        question: of the daemon.
        limit: seconds for all of it.

    Raises:
        Failed: in our words; whatever else is raised is a bug of ours, or of a library.
    """
    match question:
        case GoogleToken():
            from credproxy.worker.google import google_token  # noqa: PLC0415  a library that nobody asks costs nothing

            return google_token(question, limit)
        case AwsChain():
            from credproxy.worker.aws import aws_access  # noqa: PLC0415  likewise

            return aws_access(question, limit)
        case AzureToken():
            from credproxy.worker.azure import azure_token  # noqa: PLC0415  as above

            return azure_token(question, limit)
