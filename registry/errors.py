"""What can go wrong in the registry, by what the caller does about it.

RegistryError
    NotFoundError       you named something that is not there
    ConflictError       somebody was faster, or it exists already: read again, then decide
    RefusedError        the value or the step breaks a rule: correct it
    UnavailableError    the database is busy or away: try again later
    UnusableError       the database cannot serve this program: a person must act
"""


class RegistryError(Exception):
    """Any failure of the registry. The text is a whole sentence that a person can act on."""


class NotFoundError(RegistryError):
    """The registry does not know what was named."""


class ConflictError(RegistryError):
    """The record changed since the caller read it, or its id is taken."""


class RefusedError(RegistryError, ValueError):
    """A value or a step that a rule forbids. Nothing was changed."""


class UnavailableError(RegistryError):
    """The database is busy or cannot be reached. Nothing is known to have changed; trying again later may help."""


class UnusableError(RegistryError):
    """The database is no registry, is newer than this program, or its file cannot be opened."""
