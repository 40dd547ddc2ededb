/** Server-sent events: the wire form, and the interval that keeps proxies from closing a quiet stream. */

/**
 * For every answer that is read while it is written. A proxy must pass each piece on at once: nginx buffers unless told not to, and
 * one that compresses holds bytes back until its window is full.
 */
export const streamHeaders = { "cache-control": "no-store, no-transform", "x-accel-buffering": "no" } as const;

export const sseHeaders = { "content-type": "text/event-stream; charset=utf-8", ...streamHeaders } as const;

/** Common proxies close after 30 to 60 s of silence. */
export const heartbeatMs = 15_000;

const encoder = new TextEncoder();

export const heartbeat = encoder.encode(": heartbeat\n\n");

/** `data` is JSON, which holds no line break, so one data line is enough. Without `name` it is the default `message`. */
export function sseEvent(event: { readonly name?: string; readonly id?: number; readonly data: unknown }): Uint8Array {
  const name = event.name === undefined ? "" : `event: ${event.name}\n`;
  const id = event.id === undefined ? "" : `id: ${event.id}\n`;
  return encoder.encode(`${name}${id}data: ${JSON.stringify(event.data)}\n\n`);
}
