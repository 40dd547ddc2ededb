/** Where a webhook may be sent: the public Internet, however the address is written. */
import { describe, expect, it } from "vitest";
import { addressFault } from "../../../src/protocol/resources/tenant/webhook-address.ts";

const refused = (url: string) => addressFault(url, false) !== null;

describe("the address of a webhook", () => {
  it.each([
    "https://example.com/hook",
    "https://example.com:8443/hook?a=b",
    "https://hooks.example.co.uk./x",
    "https://8.8.8.8/",
    "https://[2606:4700:4700::1111]/",
    "https://[2a00:1450:4001::1]:444/x",
    "https://xn--bcher-kva.example.com/",
    "https://172.15.255.255/",
    "https://172.32.0.1/",
    "https://100.63.255.255/",
    "https://100.128.0.1/",
    "https://223.255.255.255/",
    "https://internal.example.com/",
    "https://localhost.example.com/",
  ])("%s is public [API-7]", (url) => {
    expect(addressFault(url, false)).toBeNull();
  });

  it.each([
    // Loopback in every notation a URL takes.
    ...["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.255.255.254"],
    ...["127.0.0.1.", "①②⑦.⓪.⓪.①", "0", "0.0.0.0"],
    // Private, shared, link-local (and with it the cloud's metadata), documentation, benchmarking, multicast, reserved.
    ...["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "169.254.169.254"],
    ...["0xA9FEA9FE", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "240.0.0.1"],
    ...["255.255.255.255", "192.88.99.1"],
    // IPv6: loopback, unspecified, mapped, compatible, NAT64, 6to4, Teredo, unique local, link-local, site-local, the rest.
    ...[
      "[::1]",
      "[::]",
      "[0:0:0:0:0:0:0:1]",
      "[::ffff:127.0.0.1]",
      "[::ffff:7f00:1]",
      "[::ffff:8.8.8.8]",
      "[::127.0.0.1]",
    ],
    ...["[64:ff9b::10.0.0.1]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::]", "[2001:0:1::1]", "[fc00::1]"],
    ...["[fd12:3456::1]", "[fe80::1]", "[febf::1]", "[fec0::1]", "[ff02::1]", "[100::1]", "[2001:db8::1]", "[3fff::1]"],
    // Names that mean something only here.
    ...[
      "localhost",
      "LOCALHOST",
      "localhost.",
      "api.localhost",
      "printer.local",
      "metadata.google.internal",
      "db.internal.",
    ],
    ...[
      "intranet",
      "router.lan",
      "nas.home.arpa",
      "svc.cluster",
      "x.test",
      "x.invalid",
      "1.0.0.127.in-addr.arpa",
      "abc.onion",
    ],
  ])("https://%s/ is not, and is refused [API-7]", (host) => {
    expect(refused(`https://${host}/hook`)).toBe(true);
    expect(refused(`https://${host}:8443/hook`)).toBe(true);
  });

  it.each([
    "http://example.com/",
    "ftp://example.com/",
    "javascript:alert(1)",
    "//example.com/",
    "example.com",
    "",
    "https://",
    "https://user:secret@example.com/",
    "https://user@example.com/",
    "https://example.com/#part",
    "https://exa mple.com/",
    "https://[::1",
    "https://256.1.1.1/",
    "file:///etc/passwd",
  ])("%j is none at all [API-7] [SEC-5]", (url) => {
    expect(refused(url)).toBe(true);
  });

  it("may be private and plain only where a deployment allows it, for development", () => {
    for (const url of ["http://127.0.0.1:9999/x", "http://localhost/", "https://10.0.0.1/"]) {
      expect(addressFault(url, true)).toBeNull();
      expect(refused(url)).toBe(true);
    }
    for (const url of ["ftp://127.0.0.1/", "http://user:pw@localhost/", "nonsense"]) {
      expect(addressFault(url, true)).not.toBeNull();
    }
  });
});
