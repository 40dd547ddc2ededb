/** Mooring in a bare workerd, with a local sandbox host whose processes are real. */
import { RunningHost } from "../../support/running-host.ts";
import { BareWorkerd } from "../bare-workerd.ts";
import { BenchClient } from "../client.ts";
import { roomy } from "./roomy.ts";

export async function withLocalHost<T>(act: (client: BenchClient, workerd: BareWorkerd) => Promise<T>): Promise<T> {
  const host = await RunningHost.start({ faults: false, arguments: ["--end-all-on-exit"] });
  try {
    const vars = { ...roomy, SANDBOX_PROVIDER: "local", LOCAL_HOST_URL: host.url };
    const workerd = await BareWorkerd.start({ vars, counting: false, secrets: { LOCAL_HOST_TOKEN: host.token } });
    try {
      return await act(new BenchClient(workerd.url, await workerd.key("acme")), workerd);
    } finally {
      await workerd.stop();
    }
  } finally {
    await host.kill("SIGTERM");
    await host.close();
  }
}
