/** The wire shapes of CubeSandbox's two calls on a sandbox's clock. Unknown fields are ignored. */
import { z } from "zod";

const seconds = z.int("Whole seconds.").max(2_147_483_647, "Whole seconds of 32 bits.");
const requestId = z.string().max(128).optional();

export const cubeTimeout = z.object({
  requestID: requestId,
  sandboxID: z.string(),
  /** 0: now. In CubeSandbox's API -1 is "never"; every session here has an end, so it is refused. */
  timeout: seconds.min(0, "0 or more; `never` (-1) is not offered: every session here has an end."),
});

export const cubeRefresh = z.object({
  requestID: requestId,
  sandboxID: z.string(),
  /** Left out: the configured default timeout. */
  duration: seconds.min(1, "1 or more; `never` (-1) is not offered: every session here has an end.").optional(),
});

export const cubeReply = z.object({
  requestID: z.string(),
  sandboxID: z.string().optional(),
  /** 200 for a success, else an error number of CubeSandbox's. A success never carries an error. */
  ret: z.object({ ret_code: z.int(), ret_msg: z.string() }),
  /** Epoch ms; only in a success. */
  end_at: z.int().optional(),
});
export type CubeReply = z.infer<typeof cubeReply>;
