/**
 * Pseudo terminals by the native part of node-pty. It travels inside the bundle, compressed, for the platform that the bundle was
 * built on (scripts/builds/build-wrapper.ts): the agent is one file of JavaScript wherever it goes. It is written to a temporary
 * file when the first terminal is opened, loaded, and removed.
 *
 * Of node-pty only that part is used: its JavaScript destroys what an exited program wrote and nobody has read yet.
 */
import { randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { nativeBinaries } from "./native-binaries.ts";

export interface NativeTerminals {
  readonly fork: (
    file: string,
    args: readonly string[],
    environment: readonly string[],
    directory: string,
    cols: number,
    rows: number,
    uid: number,
    gid: number,
    isUtf8: boolean,
    helper: string,
    exited: (code: number, signal: number) => void,
  ) => { readonly fd: number; readonly pid: number; readonly pty: string };
  readonly resize: (fd: number, cols: number, rows: number) => void;
}

let loaded: NativeTerminals | null | undefined;

/** null: this system cannot load it (another C library, or no place from which programs may be loaded). */
export function nativeTerminals(): NativeTerminals | null {
  loaded ??= load();
  return loaded;
}

function load(): NativeTerminals | null {
  const packed = nativeBinaries[`${process.platform}-${process.arch}`];
  if (packed === undefined) return null;
  const binary = brotliDecompressSync(Buffer.from(packed, "base64"));
  for (const place of [tmpdir(), "/dev/shm", "/var/tmp"]) {
    const path = join(place, `.mooring-${randomBytes(8).toString("hex")}.node`);
    try {
      writeFileSync(path, binary, { mode: 0o700, flag: "wx" });
      const module = { exports: {} as NativeTerminals };
      process.dlopen(module, path);
      return module.exports;
    } catch {
      // Mounted without the right to load programs, or full, or another C library: the next place, or `script`.
    } finally {
      rmSync(path, { force: true });
    }
  }
  return null;
}
