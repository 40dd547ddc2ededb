/** `/healthz`: this code runs. `/readyz`: it could serve a create right now, or what is missing, by name, never by value. */
import { serviceContracts } from "../../protocol/contracts/service-contracts.ts";
import type { Config } from "../../config.ts";
import { json, type OpenAsk, problem, type Route, serve } from "../route.ts";

async function alive(): Promise<Response> {
  return json(200, { status: "alive" });
}

async function ready(from: OpenAsk): Promise<Response> {
  const missing = from.reading.ok
    ? [...secretsMissing(from.reading.config), ...(await from.backend.missing())]
    : from.reading.misfits.map((misfit) => misfit.message);
  if (missing.length === 0 && from.reading.ok) {
    return json(200, { status: "ready", provider: from.reading.config.provider });
  }
  from.log.warn("not ready", { missing: missing.join(" ") });
  return problem(from, { code: "unavailable", detail: `Mooring is not ready: ${missing.join(" ")}` });
}

function secretsMissing(config: Config): readonly string[] {
  const secrets: readonly (readonly [string, boolean])[] = [
    ["ADMIN_TOKEN", config.secrets.adminToken !== null],
    ["KEY_SIGNING_SECRET", config.secrets.keySigning !== null],
    ["ENV_ENCRYPTION_KEY", config.secrets.envEncryption !== null],
    ["LOCAL_HOST_TOKEN", config.provider !== "local" || config.localHost.token !== null],
  ];
  return secrets.filter(([, set]) => !set).map(([name]) => `The secret ${name} is not set.`);
}

export const healthRoutes: readonly Route[] = [
  serve(serviceContracts.alive, alive),
  serve(serviceContracts.ready, ready),
];
