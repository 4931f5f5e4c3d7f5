"""The one exception of the package."""


class Error(Exception):
    """What could not be done, why, and what to do.

    Attributes:
        code: of the closed list that all of Tributary shares, such as "invalid-argument" (`tributary explain CODE`).
        message: the sentence, without the code.
        remedy: what is safe and what to do, when an aggregator says so; else empty.
        transient: the same request may succeed later.
        retry_after: the seconds after which it may, when an aggregator says so; else None.
    """

    def __init__(self, code: str, message: str, remedy: str = "", transient: bool = False, retry_after=None) -> None:
        super().__init__(f"{code}: {message}" + (f"\n{remedy}" if remedy else ""))
        self.code = code
        self.message = message
        self.remedy = remedy
        self.transient = transient
        self.retry_after = retry_after

    def __reduce__(self):
        return Error, (self.code, self.message, self.remedy, self.transient, self.retry_after)
