"""The one exception of the package."""


class Error(Exception):
    """What could not be done, why, and what to do.

    Attributes:
        code: of the closed list that all of Tributary shares, such as "invalid-argument" (`tributary explain CODE`).
        message: the sentence, without the code.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    def __reduce__(self):
        return Error, (self.code, self.message)
