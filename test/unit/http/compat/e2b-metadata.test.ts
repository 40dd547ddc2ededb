/** E2B's metadata as labels, and back. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  labelKeyOf,
  labelsOf,
  metadataFilter,
  metadataOf,
  templateLabel,
} from "../../../../src/http/compat/e2b/metadata.ts";
import { labels } from "../../../../src/protocol/primitives.ts";

describe("metadata and labels", () => {
  const text = fc.string({ unit: "binary", maxLength: 20 });

  it("come back as they were given, and are found by the SDK's own query [API-8]", () => {
    const metadata = fc.dictionary(text, text, { maxKeys: 8, noNullPrototype: true });
    fc.assert(
      fc.property(metadata, (given) => {
        const made = labelsOf(given, "base");
        if (!made.ok) return;
        expect(labels.safeParse(made.value).success).toBe(true);
        expect(metadataOf(made.value)).toEqual(given);
        // As the SDK writes it (sandboxApi.ts), without the encoding of the parameter itself.
        const pairs = Object.entries(given).map(([key, value]) => [encodeURIComponent(key), encodeURIComponent(value)]);
        const asked = metadataFilter(
          new URLSearchParams(Object.fromEntries(pairs) as Record<string, string>).toString(),
        );
        expect({ ...asked, [templateLabel]: "base" }).toEqual(made.value);
      }),
      { numRuns: 2_000 },
    );
  });

  it("two keys are never one label, and none is the template's", () => {
    fc.assert(
      fc.property(text, text, (one, other) => {
        fc.pre(one !== other);
        expect(labelKeyOf(one)).not.toBe(labelKeyOf(other));
        expect(labelKeyOf(one)).not.toBe(templateLabel);
      }),
      { numRuns: 2_000 },
    );
    for (const key of ["template", "e2b/template", "e2b/", "e2b/e2b.2ftemplate"])
      expect(labelKeyOf(key)).not.toBe(templateLabel);
  });

  it("a filter by hand needs no double encoding, and broken encodings are taken as they are", () => {
    expect(metadataFilter("user=abc&app=prod")).toEqual({ user: "abc", app: "prod" });
    expect(metadataFilter("rate=50%25")).toEqual({ rate: "50%" });
    expect(metadataFilter("")).toEqual({});
  });

  it("a native label that only looks like a written key is shown as it is", () => {
    expect(metadataOf({ "e2b/x.ffy": "1", team: "a" })).toEqual({ "e2b/x.ffy": "1", team: "a" });
  });
});
