/**
 * `/healthz`: this code runs. `/readyz`: it could serve a create right now, or what is missing. Anybody may ask, so anybody hears names
 * only; values and addresses go to the log, and to whoever sends the admin token.
 */
import { serviceContracts } from "../../../protocol/contracts/service/service-contracts.ts";
import type { Config } from "../../../config/config.ts";
import { type Missing, plainly } from "../../backend.ts";
import { refused } from "../../answer/problem.ts";
import { json, type OpenContext, type Route } from "../../route.ts";
import { type Made, serve } from "../../serve.ts";

async function alive(): Promise<Made> {
  return json(200, { status: "alive" });
}

async function ready(context: OpenContext): Promise<Made> {
  const missing: readonly Missing[] = context.reading.ok
    ? [...secretsMissing(context.reading.config), ...(await context.backend.missing())]
    : context.reading.misfits.map(({ name, message }) => ({ public: `${name} does not fit.`, detail: message }));
  if (missing.length === 0 && context.reading.ok) {
    return json(200, { status: "ready", provider: context.reading.config.provider });
  }
  const details = missing.map(({ detail }) => detail).join(" ");
  context.log.warn("not ready", { missing: details });
  const said = (await context.isOperator())
    ? details
    : `${missing.map((each) => each.public).join(" ")} The operator finds more in the log, or by asking with the admin token.`;
  const draining = missing.some(({ code }) => code === "draining") && missing.length === 1;
  return refused({ code: draining ? "draining" : "unavailable", detail: `Mooring is not ready: ${said}` });
}

function secretsMissing(config: Config): readonly Missing[] {
  const secrets: readonly (readonly [string, boolean])[] = [
    ["ADMIN_TOKEN", config.secrets.adminToken !== null],
    ["KEY_SIGNING_SECRET", config.secrets.keySigning !== null],
    ["ENV_ENCRYPTION_KEY", config.secrets.envEncryption !== null],
    ["LOCAL_HOST_TOKEN", config.provider !== "local" || config.localHost.token !== null],
  ];
  return secrets.filter(([, set]) => !set).map(([name]) => plainly(`The secret ${name} is not set.`));
}

export const healthRoutes: readonly Route[] = [
  serve(serviceContracts.alive, alive),
  serve(serviceContracts.ready, ready),
];
