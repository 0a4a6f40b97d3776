"""The command group, its table of commands, and the one place that turns errors into exits."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from cnntool import __version__
from cnntool.cli.config import config_option
from cnntool.cli.lazy import LazyGroup
from cnntool.cli.streams import warn
from cnntool.errors import CnntoolError
from cnntool.files import quote

COMMANDS = {
    "convolve": "Filter pictures with named or custom kernels.",
    "edges": "Find edges: gradient magnitude, angle, Canny.",
    "kernels": "List the named kernels, or show one.",
    "pool": "Shrink pictures by max, average and other pooling.",
    "unpool": "Put max-pooled values back where they came from.",
    "pyramid": "Build Gaussian and Laplacian pyramids, and collapse them.",
    "split": "Split pictures into one grey picture per channel.",
    "merge": "Merge channel pictures into one colour picture.",
    "hog": "Extract HOG features: one row per picture.",
    "flatten": "Write pixels as rows, in the order of a network's flatten.",
    "augment": "Change pictures at random: copies for training, masks along with them.",
    "shape": "Show every layer of a network: shapes, parameters, receptive field.",
    "models": "List the built-in networks, or print one's specification.",
    "datasets": "List data sets, show what is in one, download or make one.",
    "train": "Train a network on a data set: MNIST, or a folder of pictures.",
    "predict": "Tell what pictures show: a label and a score, or a mask.",
    "generate": "Make pictures with a trained generator.",
    "evaluate": "Measure how well a model tells the classes of a data set.",
    "explain": "Look inside a network: maps, filters, what excites or decides.",
    "export": "Write a model as ONNX, or its weights as safetensors.",
    "import": "Make a model of an ONNX file, or of weights of torch.",
    "bench": "Measure images per second of training, prediction and filters here.",
    "check": "Check that every picture of a folder is readable.",
    "info": "Show versions, cores and devices of this machine.",
}

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "auto_envvar_prefix": "CNNTOOL",
    "show_default": True,
    "max_content_width": 100,
}

EPILOG = """\b
An option is taken from the first of: the command line (--border edge); CNNTOOL_CONVOLVE_BORDER or
CNNTOOL_BORDER in the environment; the file of --config or CNNTOOL_CONFIG, border = "edge" below
[convolve] or above all tables. Several values in a variable stand between |.

\b
Exit status: 0 done; 1 an input failed or a gate was not met; 2 usage; 3 the system stopped it
(disk, permission, memory, device); 4 invalid model or data set; 5 training diverged;
130, 143, 141 ended by Ctrl-C, SIGTERM, a closed pipe.

\b
Shell completion: eval "$(_CNNTOOL_COMPLETE=bash_source cnntool)"   (or zsh_source, fish_source)"""

SYSTEM_ERRORS = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE,
    errno.ENFILE, errno.EBADF, errno.EFBIG, errno.ENOMEM,
}  # fmt: skip


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    package="cnntool.cli.commands",
    context_settings=CONTEXT,
    examples="""
    cnntool convolve photo.jpg -k sobel-x          photo.sobel-x.jpg
    cnntool edges photos/ -r -o edges/             a tree of pictures, all cores
    cnntool convolve - -k gaussian-5 -o - < a.png | cnntool edges - -o b.png
    cnntool train mnist                            a network that tells digits, in seconds
    cnntool predict runs/mnist-cnn-mnist *.png     what pictures show
    """,
    epilog=EPILOG,
    subcommand_metavar="COMMAND [ARGS]…",
)
@click.version_option(__version__, message="cnntool %(version)s")
@config_option
def group() -> None:
    """Image filters, features and convolutional networks in one pipe-friendly tool."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with the status of the contract; never a traceback."""
    # one BLAS thread: the work is shared out by this program's own threads
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    arguments = list(sys.argv[1:] if argv is None else argv)
    _leave(_run(arguments))


def _run(arguments: list[str]) -> int:
    """Exit status of the command; statuses below zero name the signal to die by."""
    from cnntool.folder.signals import Stopped, handle_signals

    debug = "--debug" in arguments or bool(os.environ.get("CNNTOOL_DEBUG"))
    try:
        with handle_signals():
            if os.environ.get("_CNNTOOL_COMPLETE"):
                group.main(arguments, prog_name="cnntool")
            with group.make_context("cnntool", arguments) as context:
                group.invoke(context)
            if sys.stdout is not None:
                sys.stdout.flush()
            return 0
    except click.exceptions.Exit as request:
        if request.exit_code == 0 and sys.stdout is None:  # help or version for nobody
            warn(f"standard output: cannot be written: {os.strerror(errno.EBADF)}")
            return 3
        return request.exit_code
    except click.exceptions.NoArgsIsHelpError as request:
        click.echo(request.format_message())
        return 2
    except click.UsageError as error:
        warn(_usage_message(error))
        return 2
    except click.ClickException as error:
        warn(error.format_message())
        return error.exit_code
    except (Stopped, KeyboardInterrupt, click.Abort) as stop:
        return -int(getattr(stop, "signum", signal.SIGINT))
    except CnntoolError as error:
        if debug:
            traceback.print_exc()
        warn(error.message)
        return error.exit_code
    except BrokenPipeError:
        return -int(getattr(signal, "SIGPIPE", 13))
    except MemoryError:
        warn("out of memory; try smaller pictures, fewer --jobs, or --limits strict")
        return 3
    except OSError as error:
        if debug:
            traceback.print_exc()
        name = f"{quote(str(error.filename))}: " if error.filename else ""
        warn(f"{name}{error.strerror or error}")
        return 3 if error.errno in SYSTEM_ERRORS else 1
    except Exception as error:  # noqa: BLE001 - the last boundary: a bug is one line, not a traceback
        if debug:
            traceback.print_exc()
        warn(f"internal error ({type(error).__name__}: {error}); run again with --debug")
        return 1


def _usage_message(error: click.UsageError) -> str:
    """Click's message in one line, with the way to the help."""
    message = " ".join(error.format_message().split())
    if error.ctx is not None:
        end = " See" if message.endswith("?") else "; see"
        message = f"{message.rstrip('.')}{end} '{error.ctx.command_path} --help'"
    return message


def _leave(status: int) -> NoReturn:
    """Exit, or die by the signal that ended the run, so that the shell sees it."""
    from cnntool.folder.signals import die_by

    if status < 0:
        _silence_stdout()
        die_by(-status)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        die_by(int(getattr(signal, "SIGPIPE", 13)))
    except OSError as error:
        _silence_stdout()
        warn(f"cannot write to standard output: {error.strerror}")
        status = status or 3
    sys.exit(status)


def _silence_stdout() -> None:
    """Let the interpreter's last flush go nowhere: what is left cannot be written."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError:
        pass
