/** What the typed client says about an address or a key that can never work, and which address it calls. */
import { expect, it } from "vitest";
import { ConnectionError, Mooring } from "../../../src/client/mooring.ts";

function client(url: string, key: string | undefined, fetch: (request: Request) => Promise<Response>): Mooring {
  return new Mooring({ url, key: key as string, fetch, retry: { baseMs: 1, maxMs: 2 } });
}
const never = (): Promise<Response> => Promise.reject(new Error("nothing may be sent"));

it.each([
  ["127.0.0.1:8787", "Did you mean http://127.0.0.1:8787?"],
  ["ftp://mooring.test", "must be an absolute http or https address"],
  ["", "`url` is missing"],
])("[BUG-66] the address %j is refused at once, in words", (url, words) => {
  expect(() => client(url, "mrg_key", never)).toThrow(words);
});

it("[BUG-66] without a key nothing is sent, and the error says where keys come from", async () => {
  let sent = 0;
  const count = async () => {
    sent += 1;
    return new Response();
  };
  const reading = async () => await client("https://mooring.test", undefined, count).session("a".repeat(20)).read();
  await expect(reading()).rejects.toThrow("npm run keys -- create --tenant");
  expect(sent).toBe(0);
});

it("[BUG-66] a connection that fails names host and port, and the path of the address is kept", async () => {
  const urls: string[] = [];
  const refused = (request: Request): Promise<Response> => {
    urls.push(request.url);
    return Promise.reject(new TypeError("fetch failed"));
  };
  const failure = client("http://127.0.0.1:9/behind/a/path/", "mrg_key", refused)
    .session("a".repeat(20))
    .read()
    .catch((error: unknown) => error);
  const error = await failure;
  expect(error).toBeInstanceOf(ConnectionError);
  expect(String(error)).toContain("127.0.0.1:9");
  expect(urls[0]).toMatch(/^http:\/\/127\.0\.0\.1:9\/behind\/a\/path\/v1\/sessions\//);
});
