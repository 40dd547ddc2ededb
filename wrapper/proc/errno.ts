/** What the system said of a call that failed: the name of its error number, such as ENOENT. */

/** "unknown": the error is not one of a system call. */
export function errnoOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}

export function hasErrno(error: unknown, ...names: readonly string[]): boolean {
  return names.includes(errnoOf(error));
}

/** The process, or what `/proc` says of it, is no longer there. ESRCH: it ended between open and read. */
export function isGone(error: unknown): boolean {
  return hasErrno(error, "ENOENT", "ESRCH");
}

/** The disk, or a quota of the system, is used up. */
export function isFull(error: unknown): boolean {
  return hasErrno(error, "ENOSPC", "EDQUOT");
}

/** It belongs to another user. Without CAP_SYS_PTRACE not even root may read it. */
export function isForbidden(error: unknown): boolean {
  return hasErrno(error, "EACCES", "EPERM");
}
