/** `mooring keys`: makes API keys with the signing secret, lists known keys, revokes keys. */
import { randomInt } from "node:crypto";
import { type Command, Option } from "commander";
import { type ApiKeyScope, apiKeyScopes, e2bFormOf, keyLifetimeMs, signApiKey } from "../../../protocol/api-keys.ts";
import type { Context } from "../../context.ts";
import { exitCodes } from "../../exit-codes.ts";
import { CliFault } from "../../fault.ts";
import { askedForSecret, confirmed } from "../../screen/confirm.ts";
import { relative } from "../../screen/times.ts";
import { command, contextOf, type Shell, withSharedOptions } from "../command.ts";
import { collect } from "../look/sessions.ts";

interface RevokeFlags {
  readonly all?: boolean;
  readonly reason?: string;
  readonly yes?: boolean;
}

export function keysCommand(shell: Shell): Command {
  const keys = command("keys", "Make, list and revoke API keys", [
    ["KEY_SIGNING_SECRET=… mooring keys create --tenant acme", "prints a new key, and nothing else"],
    ["mooring keys create --tenant acme --scope read --expires 30d", "one that only reads, for a month"],
    ["mooring keys list acme", "its keys: scopes, end, last use, what is revoked (admin token)"],
    ["mooring keys revoke acme KEY_ID --reason 'in a public log'", "for ever, effective within a minute"],
    ["mooring keys revoke acme --all --reason 'stolen laptop'", "every key that was made until now"],
  ]);
  keys.addCommand(
    withSharedOptions(
      command("create", "Make a key; needs KEY_SIGNING_SECRET in the environment, or types it blind")
        .requiredOption("--tenant <name>", "whose key it is")
        .addOption(
          new Option("--scope <scope>", `what it may do, may be repeated: ${apiKeyScopes.join(", ")}`)
            .argParser(collect)
            .default([]),
        )
        .option("--expires <time>", "it ends after that: 12h, 30d, 1y; left out: never")
        .option("--e2b", "in the form that E2B's SDK takes"),
      [],
    ).action(async (flags: { tenant: string; scope: readonly string[]; expires?: string; e2b?: boolean }) => {
      const context = contextOf(shell, flags);
      const given = shell.env["KEY_SIGNING_SECRET"] ?? "";
      if (given === "" && !context.screen.isLive)
        throw new CliFault(
          exitCodes.unauthorized,
          "Keys are signed with KEY_SIGNING_SECRET, and it is not set.",
          "export KEY_SIGNING_SECRET=…   # the secret of that deployment",
        );
      const secret = given === "" ? await askedForSecret("KEY_SIGNING_SECRET") : given;
      const unknown = flags.scope.find((each) => !(apiKeyScopes as readonly string[]).includes(each));
      if (unknown !== undefined)
        throw new CliFault(exitCodes.usage, `There is no scope "${unknown}": choose from ${apiKeyScopes.join(", ")}.`);
      const lasts = flags.expires === undefined ? null : keyLifetimeMs(flags.expires);
      if (lasts === undefined)
        throw new CliFault(exitCodes.usage, `"${flags.expires}" is no time: write 12h, 30d or 1y.`);
      const now = Date.now();
      const expiresAt = lasts === null ? null : now + lasts;
      const nonce = Array.from({ length: 10 }, () => randomInt(36).toString(36)).join("");
      const key = await signApiKey(
        { tenant: flags.tenant, scopes: flags.scope as ApiKeyScope[], issuedAt: now, expiresAt, nonce },
        secret,
      );
      context.screen.line(flags.e2b === true ? e2bFormOf(key) : key);
    }),
  );
  keys.addCommand(
    withSharedOptions(command("list", "List a tenant's keys").argument("<tenant>", "name of the tenant"), [
      "json",
      "ids",
    ]).action(async (tenant: string, flags: object) => {
      const context = contextOf(shell, flags);
      const { data } = await context.admin().keys(tenant, { signal: context.signal });
      showKeys(context, tenant, data);
    }),
  );
  keys.addCommand(
    withSharedOptions(
      command("revoke", "Revoke a key, or all of them, for ever")
        .argument("<tenant>", "name of the tenant")
        .argument("[key-id]", "the middle part of the key, between the second and the third `_`")
        .option("--all", "every key of the tenant that was made until now, used or not")
        .option("--reason <text>", "why; kept in the log")
        .option("-y, --yes", "do it without being asked"),
    ).action(async (tenant: string, keyId: string | undefined, flags: RevokeFlags) => {
      const context = contextOf(shell, flags);
      const body = flags.reason === undefined ? {} : { reason: flags.reason };
      if ((flags.all === true) === (keyId !== undefined))
        throw new CliFault(exitCodes.usage, "Name one key, or give --all for every key of the tenant.");
      if (flags.yes !== true) await showTouched(context, tenant, keyId);
      if (keyId === undefined) {
        if (flags.yes !== true)
          await confirmed(context.screen, `Every key of ${tenant} that was made until now stops working for ever`);
        const all = await context.admin().revokeAllKeys(tenant, body);
        if (context.screen.form.json) return context.screen.json(all);
        return context.screen.line(`Revoked all keys of ${tenant}; they stop working within a minute.`);
      }
      if (flags.yes !== true) await confirmed(context.screen, `Key ${keyId} of ${tenant} stops working for ever`);
      const done = await context.admin().revokeKey(tenant, keyId, body);
      if (context.screen.form.json) return context.screen.json(done);
      context.screen.line(`Revoked ${done.key_id} of ${done.tenant}; it stops working within a minute.`);
    }),
  );
  return keys;
}

type Keys = Awaited<ReturnType<ReturnType<Context["admin"]>["keys"]>>["data"];

function showKeys({ screen }: Context, tenant: string, keys: Keys): void {
  const now = Date.now();
  screen.rows(
    keys,
    [
      { title: "key", text: ({ key_id: id }) => id },
      { title: "scopes", text: ({ scopes }) => scopes.join(" ") || "all but critical" },
      { title: "made", text: ({ issued_at: at }) => relative(at, now) },
      { title: "last used", text: ({ last_used_at: at }) => relative(at, now) },
      { title: "ends", text: ({ expires_at: at }) => relative(at, now) },
      { title: "revoked", text: ({ revoked_at: at }) => relative(at, now) },
    ],
    ({ key_id: id }) => id,
    `No key of ${tenant} was used or revoked yet. A key is known from its first use on.`,
  );
}

/**
 * Shows the keys that would stop working, before confirmation is asked for. `keyId` undefined: all known keys that
 * still work.
 */
async function showTouched(context: Context, tenant: string, keyId: string | undefined): Promise<void> {
  if (context.screen.form.json) return;
  const { data } = await context.admin().keys(tenant, { signal: context.signal });
  showKeys(
    context,
    tenant,
    data.filter((each) => (keyId === undefined ? each.revoked_at === null : each.key_id === keyId)),
  );
}
