/** Why a service refuses, for people and for programs: one code, one sentence, and the path as it was given. */
import type { ServiceError, ServiceErrorCode } from "../../../src/protocol/sandbox/services.ts";
import { errnoOf } from "../../proc/errno.ts";

export class ServiceFailure extends Error {
  readonly error: ServiceError;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ServiceErrorCode, message: string, about: Omit<ServiceError, "code" | "message"> = {}) {
    super(message);
    this.error = { code, message, ...about };
    this.headers = about.size === undefined ? {} : { "content-range": `bytes */${about.size}` };
  }
}

/** By errno. Each message says what it means for the caller. */
const byErrno: Readonly<Record<string, readonly [ServiceErrorCode, string]>> = {
  ENOENT: ["not_found", "does not exist"],
  EACCES: ["permission_denied", "is closed to the user of the sandbox"],
  EPERM: ["permission_denied", "may not be changed by the user of the sandbox"],
  EROFS: ["read_only", "is on a file system that cannot be written to"],
  EEXIST: ["already_exists", "exists already"],
  ENOTDIR: ["not_a_directory", "is not a directory, or a part of the path before it is not one"],
  EISDIR: ["is_a_directory", "is a directory"],
  ENOTEMPTY: ["directory_not_empty", "is a directory that is not empty"],
  ELOOP: ["link_loop", "leads through too many symbolic links"],
  EXDEV: ["other_file_system", "is on another file system than the destination; copy it and remove the original"],
  EBUSY: ["busy", "is in use by the system"],
  ETXTBSY: ["busy", "is a program that is running"],
  ENAMETOOLONG: ["name_too_long", "is longer than the file system allows: 255 bytes for a name, 4095 for a path"],
  ENOSPC: ["no_space", "cannot be written: the file system is full"],
  EDQUOT: ["no_space", "cannot be written: the quota of the user is used up"],
  EFBIG: ["no_space", "is larger than the file system allows"],
  EINVAL: ["invalid", "cannot be used for this"],
  EMFILE: ["too_many", "cannot be opened: too many files are open. Close some streams"],
  ENFILE: ["too_many", "cannot be opened: too many files are open. Close some streams"],
};

/** `path` as text for people. */
export function fileFailure(error: unknown, path: string): ServiceFailure {
  if (error instanceof ServiceFailure) return error;
  const code = errnoOf(error);
  const [known, words] = byErrno[code] ?? ["internal", `failed with ${code}`];
  return new ServiceFailure(known, `${JSON.stringify(path)} ${words}.`, { path });
}

/** The client went away before it had sent its whole body. */
export function isBrokenOff(error: unknown): boolean {
  return ["ECONNRESET", "ERR_STREAM_PREMATURE_CLOSE"].includes(errnoOf(error));
}
