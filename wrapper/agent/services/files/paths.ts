/**
 * Paths as bytes. Nothing is judged here: whether a path may be used is the kernel's decision, because this process has
 * no more rights than the jobs of the sandbox.
 *
 * Paths are handled as latin1 text, one character for each byte, and handed to the kernel as bytes.
 */
import { ServiceFailure } from "../service-failure.ts";

export interface BaseDirectories {
  readonly workspace: string;
  readonly home: string;
}

/** A path as the kernel takes it, and as people read it. */
export class FilePath {
  /** One character for each byte. */
  readonly latin1: string;

  constructor(latin1: string) {
    this.latin1 = latin1;
  }

  get bytes(): Buffer {
    return Buffer.from(this.latin1, "latin1");
  }

  get text(): string {
    return this.bytes.toString("utf8");
  }

  get name(): string {
    return this.latin1.slice(this.latin1.lastIndexOf("/") + 1);
  }

  get directory(): FilePath {
    const cut = this.latin1.lastIndexOf("/");
    return new FilePath(cut <= 0 ? "/" : this.latin1.slice(0, cut));
  }

  child(latin1: string): FilePath {
    return new FilePath(this.latin1.endsWith("/") ? this.latin1 + latin1 : `${this.latin1}/${latin1}`);
  }

  /** What `text` cannot say; undefined: it says all. */
  get rawText(): string | undefined {
    const { bytes } = this;
    return Buffer.from(bytes.toString("utf8")).equals(bytes) ? undefined : percentEncoded(bytes);
  }
}

function fromText(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/** Absolute, without empty and `.` segments. `..` stays: what it means behind a link only the kernel knows. */
export function resolvePath(given: Buffer | null, base: BaseDirectories, name = "path"): FilePath {
  const text = given?.toString("latin1") ?? "";
  if (text === "") throw new ServiceFailure("invalid", `${name}: a path is needed.`);
  if (text.includes("\0")) throw new ServiceFailure("invalid", `${name}: a path holds no NUL character.`);
  if (text === "~" || text.startsWith("~/")) return cleaned(`${fromText(base.home)}/${text.slice(2)}`);
  return cleaned(text.startsWith("/") ? text : `${fromText(base.workspace)}/${text}`);
}

function cleaned(path: string): FilePath {
  const segments = path.split("/").filter((segment) => segment !== "" && segment !== ".");
  return new FilePath(`/${segments.join("/")}`);
}

function percentEncoded(bytes: Buffer): string {
  return Array.from(bytes, (byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9/._~-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}
