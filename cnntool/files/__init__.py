"""Files and names, without a thought for what is in the files.

* :mod:`names`: quoting for messages, one-line messages, natural order
* :mod:`atomic`: files written whole or not at all
* :mod:`temporaries`: the names they have until then, and how those go away
* :mod:`walking`: folders into file names
* :mod:`lists`: lists of names, as ``find -print0`` writes them
* :mod:`streams`: bytes to standard output, with its failures told apart
"""

from cnntool.files.atomic import WholeFile, is_stream, system_failure, write_whole
from cnntool.files.lists import read_names
from cnntool.files.names import complaint, natural_key, one_line, quote, terminal_safe
from cnntool.files.streams import send, standard_output
from cnntool.files.temporaries import probe, remove_temporaries, sweep_stale
from cnntool.files.walking import FolderId, WalkLog, folder_id, walk

__all__ = [
    "FolderId",
    "WalkLog",
    "WholeFile",
    "complaint",
    "folder_id",
    "is_stream",
    "natural_key",
    "one_line",
    "probe",
    "quote",
    "read_names",
    "remove_temporaries",
    "send",
    "standard_output",
    "sweep_stale",
    "system_failure",
    "terminal_safe",
    "walk",
    "write_whole",
]
