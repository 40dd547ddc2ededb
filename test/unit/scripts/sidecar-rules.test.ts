/** The packet rules of a local container's network, as text for iptables-restore. What they do is shown on containers (test/containers/network.test.ts). */
import { describe, expect, it } from "vitest";
import { rulesOf } from "../../../scripts/containers/sidecar/firewall.ts";

const interception = { gateway: "172.17.0.1", port: 4_321 };

/** Of one table, without its frame. */
function table(name: string, text: string): readonly string[] {
  const found = new RegExp(`\\*${name}\\n-F OUTPUT\\n([^*]*?)COMMIT\\n`).exec(text);
  if (found === null) throw new Error(`There is no table ${name} in: ${text}`);
  return (found[1] ?? "").split("\n").filter((line) => line !== "");
}

describe("the packet rules of a sidecar", () => {
  it("an open network has none", () => {
    const text = rulesOf({ internet: true, interception: null });
    expect(table("filter", text)).toEqual([]);
    expect(table("nat", text)).toEqual([]);
  });

  it("a closed one refuses all that is not loopback or an answer", () => {
    const rules = table("filter", rulesOf({ internet: false, interception: null }));
    expect(rules.at(-1)).toBe("-A OUTPUT -j REJECT");
    expect(rules.filter((rule) => rule.endsWith("ACCEPT"))).toEqual([
      "-A OUTPUT -o lo -j ACCEPT",
      "-A OUTPUT -d 127.0.0.0/8 -j ACCEPT",
      "-A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
    ]);
  });

  it("with rules for hosts, names and web requests are taken, and only workerd is reached", () => {
    const text = rulesOf({ internet: false, interception });
    expect(table("nat", text).map((rule) => /--dport (\d+)/.exec(rule)?.[1])).toEqual(["53", "80", "443"]);
    expect(table("filter", text)).toContain("-A OUTPUT -p tcp -d 172.17.0.1 --dport 4321 -j ACCEPT");
  });
});
