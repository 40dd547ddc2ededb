/** SHA-256 of what is written to it, computed by the runtime. */
import { toHex } from "../../../protocol/bytes.ts";
import type { Digest } from "./container-platform.ts";

export function digestStream(): Digest {
  const stream = new crypto.DigestStream("SHA-256");
  const writer = stream.getWriter();
  return {
    update: (chunk) => writer.write(chunk),
    end: async () => {
      await writer.close();
      return toHex(new Uint8Array(await stream.digest));
    },
  };
}
