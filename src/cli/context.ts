/** What every command gets: the address of Mooring, the credentials, the screen, and the signal of a Ctrl-C. */
import { Mooring, MooringAdmin } from "../client/mooring.ts";
import { connect } from "../client/wire/connection.ts";
import type { Transport } from "../client/wire/transport.ts";
import { exitCodes } from "./exit-codes.ts";
import { CliFault } from "./fault.ts";
import type { Screen } from "./screen/screen.ts";
import type { Access } from "./settings/access.ts";

export class Context {
  readonly access: Access;
  readonly screen: Screen;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts at the first Ctrl-C. A command undoes what it began before it exits. */
  readonly signal: AbortSignal;

  constructor(access: Access, screen: Screen, env: Readonly<Record<string, string | undefined>>, signal: AbortSignal) {
    this.access = access;
    this.screen = screen;
    this.env = env;
    this.signal = signal;
  }

  mooring(): Mooring {
    return new Mooring({ url: this.access.url, key: this.#key() });
  }

  admin(): MooringAdmin {
    return new MooringAdmin({ url: this.access.url, token: this.#token() });
  }

  /** The transport for calls by the name of an operation. */
  transport(as: "tenant" | "admin" | "open"): Transport {
    const credential = as === "tenant" ? this.#key() : as === "admin" ? this.#token() : (this.access.key ?? "anyone");
    return connect({ url: this.access.url }, credential);
  }

  /** A command that a tenant and an operator may both run acts as the tenant when there is an API key. */
  get actsAsOperator(): boolean {
    return this.access.key === null && this.access.adminToken !== null;
  }

  /** The console's page about the subject of a line. */
  page(path: string): string {
    return `${this.access.url}/console/${path}`;
  }

  #key(): string {
    return this.access.key ?? missing("an API key", "MOORING_KEY");
  }

  #token(): string {
    return this.access.adminToken ?? missing("the admin token", "MOORING_ADMIN_TOKEN");
  }
}

function missing(what: string, variable: string): never {
  throw new CliFault(
    exitCodes.unauthorized,
    `This command needs ${what}, and there is none.`,
    `mooring login   # asks for it and keeps it; or set ${variable} in the environment`,
  );
}
