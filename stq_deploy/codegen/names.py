"""The name of a generated network in C: the prefix of its files, functions, types and macros."""

from __future__ import annotations

import re

from stq_deploy.common.errors import StqError

DEFAULT_NAME = "stq_model"
"""Name of a network for which the user gives none."""
MAXIMUM_LENGTH = 32

_FORM = re.compile(rf"[a-z][a-z0-9_]{{0,{MAXIMUM_LENGTH - 1}}}")
_SYSTEM_HEADERS = frozenset({
    "aio", "aliases", "alloca", "ar", "argp", "argz", "arm_acle", "arm_bf16", "arm_cde", "arm_cmse", "arm_fp16",
    "arm_mve", "arm_mve_types", "arm_neon", "assert", "byteswap", "complex", "cpio", "ctype", "dirent", "dlfcn",
    "elf", "endian", "envz", "err", "errno", "error", "execinfo", "fcntl", "features", "fenv", "float", "fmtmsg",
    "fnmatch", "fstab", "fts", "ftw", "gconv", "gcov", "getopt", "glob", "grp", "gshadow", "iconv", "ifaddrs",
    "inttypes", "iso646", "langinfo", "lastlog", "libgen", "libintl", "limits", "link", "locale", "malloc", "math",
    "mcheck", "memory", "mmintrin", "mntent", "monetary", "mqueue", "netdb", "nl_types", "nss", "obstack", "paths",
    "poll", "printf", "proc_service", "pthread", "pty", "pwd", "re_comp", "regex", "regexp", "resolv", "sched",
    "search", "semaphore", "setjmp", "sgtty", "shadow", "signal", "spawn", "stab", "stdalign", "stdarg", "stdatomic",
    "stdbool", "stddef", "stdfix", "stdint", "stdio", "stdio_ext", "stdlib", "stdnoreturn", "string", "strings",
    "syscall", "sysexits", "syslog", "tar", "termio", "termios", "tgmath", "thread_db", "threads", "time", "ttyent",
    "uchar", "ucontext", "ulimit", "unistd", "unwind", "utime", "utmp", "utmpx", "values", "varargs", "wait", "wchar",
    "wctype", "wordexp",
})  # fmt: skip
"""Headers of C, of compilers, newlib and glibc: a header of such a name in the include path would hide them."""
_OWN = frozenset({"network", "host_library"})
"""Headers that lie beside the network's own."""


def checked_name(name: str) -> str:
    """Return `name` if it can be the name of a network in C.

    Raises:
        StqError: it is not a prefix in C, is reserved, or would hide a header.
    """
    if not _FORM.fullmatch(name):
        cause = f"a name is of lower-case letters, digits and underscores, a letter first, at most {MAXIMUM_LENGTH}"
    elif name.startswith("stq") and name != DEFAULT_NAME:
        cause = "names that begin with stq belong to the kernels"
    elif name in _SYSTEM_HEADERS | _OWN:
        cause = f"its header {name}.h would hide another of that name"
    else:
        return name
    raise StqError(f"a network cannot be called {name!r}", cause=cause, next="choose another name")
