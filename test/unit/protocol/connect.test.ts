/** The envelopes of the Connect protocol. */
import fc from "fast-check";
import { expect, it } from "vitest";
import {
  endEnvelope,
  EnvelopeReader,
  type EnvelopeReading,
  messageEnvelope,
} from "../../../src/protocol/compat/connect.ts";

const text = ({ type, ...rest }: EnvelopeReading) =>
  "payload" in rest ? [type, new TextDecoder().decode(rest.payload)] : [type, rest.error.code];

it("an envelope is a byte of flags, four bytes of length, and JSON", () => {
  expect([...messageEnvelope({ a: "é" })]).toEqual([
    ...[0, 0, 0, 0, 10],
    ...new TextEncoder().encode(JSON.stringify({ a: "é" })),
  ]);
  expect([...endEnvelope(null)]).toEqual([2, 0, 0, 0, 2, 0x7b, 0x7d]);
});

it("envelopes are read back however the bytes are cut", () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { maxLength: 6 }), fc.array(fc.nat(40)), (words, cuts) => {
      const envelopes = [...words.map((word) => messageEnvelope({ word })), endEnvelope(null)];
      const bytes = Uint8Array.from(envelopes.flatMap((each) => [...each]));
      const reader = new EnvelopeReader(1_000);
      const found: EnvelopeReading[] = [];
      let at = 0;
      for (const cut of [...cuts, bytes.length]) {
        found.push(...reader.push(bytes.slice(at, at + cut)));
        at += cut;
      }
      if (at < bytes.length) found.push(...reader.push(bytes.slice(at)));
      expect(found.map(text)).toEqual([...words.map((word) => ["message", JSON.stringify({ word })]), ["end", "{}"]]);
      expect(reader.isWithin).toBe(false);
    }),
  );
});

it("an error goes into the last envelope", () => {
  const reader = new EnvelopeReader(100);
  expect(reader.push(endEnvelope({ code: "not_found", message: "no such process" })).map(text)).toEqual([
    ["end", '{"error":{"code":"not_found","message":"no such process"}}'],
  ]);
});

it.each([
  ["compressed", [1, 0, 0, 0, 0], "unimplemented"],
  ["of unknown flags", [4, 0, 0, 0, 0], "invalid_argument"],
  ["longer than may be kept", [0, 255, 255, 255, 255], "resource_exhausted"],
] as const)("an envelope that is %s is refused, and nothing after it is read", (_, head, code) => {
  const reader = new EnvelopeReader(100);
  expect(reader.push(Uint8Array.from(head)).map(text)).toEqual([["fault", code]]);
  expect(reader.push(endEnvelope(null))).toEqual([]);
});

it("half an envelope is known as such", () => {
  const reader = new EnvelopeReader(100);
  expect(reader.push(messageEnvelope({ a: 1 }).slice(0, 7))).toEqual([]);
  expect(reader.isWithin).toBe(true);
});
