"""The one text form of arguments and results: JSON with tags, so that a value comes back as what it was.

`tags` is the format, and how each tag is read; `plain` is what needs no tag; `leaves` and `classes` are how
values are written, and `codec` puts them together; `refusal` and `hints` are what is said where it cannot be.
"""

from taskmill._core.payload.classes import classes_in
from taskmill._core.payload.codec import Codec

__all__ = ["Codec", "classes_in"]
