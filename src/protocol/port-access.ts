/**
 * Signed addresses of a port. What is signed begins with words of its own, so that none of them is an API key or anything else of
 * Mooring's, and names one session, one port and one end: it opens nothing else, and nothing after that.
 *
 * - A **token**, `mrp_<session>_<port>_<end>_<tenant>_<key id>_<signature>`: in a header, a query or a cookie. It ends with the API key
 *   that made it.
 * - A **host label**, `<port>-<session>-<end><signature>`: the address alone opens the port. It has room for neither tenant nor key,
 *   so a revoked key does not end it; its own end does.
 *
 * Ends are whole seconds in base 36. Runs in the Worker and in Node.
 */
import type { SessionId, TenantId } from "../domain/state/ids.ts";
import { hmacHex, isHmac, sameText } from "./bytes.ts";

export interface PortAddress {
  readonly session: SessionId;
  readonly port: number;
  /** Epoch ms, whole seconds. */
  readonly endsAt: number;
}

export interface PortGrant extends PortAddress {
  readonly tenant: TenantId;
  readonly keyId: string;
}

const tokenPattern =
  /^(mrp_([a-z0-9]{20})_(\d{1,5})_([0-9a-z]{1,9})_([a-z0-9-]{1,32})_([0-9a-z]{1,9}\.[0-9a-z]{1,8}\.[0-9a-z]{10}(?:\.[0-9a-z]{1,9})?))_([0-9a-f]{64})$/;

export async function signPortToken(grant: PortGrant, secret: string): Promise<string> {
  const { session, port, endsAt, tenant, keyId } = grant;
  const signed = `mrp_${session}_${port}_${seconds(endsAt)}_${tenant}_${keyId}`;
  return `${signed}_${await hmacHex(secret, `mooring/port-token/1\n${signed}`)}`;
}

/** null: no token of these secrets. Whether it has ended is the caller's to judge. */
export async function readPortToken(token: string, secrets: readonly string[]): Promise<PortGrant | null> {
  const [, signed, session, port, end, tenant, keyId, signature] = tokenPattern.exec(token) ?? [];
  if (signed === undefined || signature === undefined || tenant === undefined || keyId === undefined) return null;
  if (!(await isHmac(`mooring/port-token/1\n${signed}`, signature, secrets))) return null;
  const address = { session: session as SessionId, port: Number(port), endsAt: Number.parseInt(end ?? "", 36) * 1_000 };
  return { ...address, tenant: tenant as TenantId, keyId };
}

/** 112 bits: a label of a host name has 63 characters, and the rest of this one takes up to 33. */
const labelDigits = 28;
const endDigits = 7;

export async function signPortLabel(address: PortAddress, secret: string): Promise<string> {
  const { session, port, endsAt } = address;
  const end = seconds(endsAt).padStart(endDigits, "0");
  return `${port}-${session}-${end}${await labelSignature(address, secret)}`;
}

/** What a host label says, before its signature is looked at. `signed` null: it shows none. */
export interface NamedPort {
  readonly session: SessionId;
  readonly port: number;
  readonly signed: { readonly endsAt: number; readonly signature: string } | null;
}

const labelPattern = /^(\d{1,5})-([a-z0-9]{20})(?:-([0-9a-z]{7})([0-9a-f]{28}))?$/;

export function readPortLabel(label: string): NamedPort | null {
  const [, port, session, end, signature] = labelPattern.exec(label) ?? [];
  if (port === undefined || session === undefined || Number(port) < 1 || Number(port) > 65_535) return null;
  const named = { session: session as SessionId, port: Number(port) };
  if (end === undefined || signature === undefined) return { ...named, signed: null };
  return { ...named, signed: { endsAt: Number.parseInt(end, 36) * 1_000, signature } };
}

export async function isLabelSigned(named: NamedPort, secrets: readonly string[]): Promise<boolean> {
  if (named.signed === null) return false;
  const { endsAt, signature } = named.signed;
  for (const secret of secrets)
    if (await sameText(await labelSignature({ ...named, endsAt }, secret), signature)) return true;
  return false;
}

async function labelSignature({ session, port, endsAt }: PortAddress, secret: string): Promise<string> {
  const whole = await hmacHex(secret, `mooring/port-label/1\n${session}\n${port}\n${seconds(endsAt)}`);
  return whole.slice(0, labelDigits);
}

function seconds(at: number): string {
  return Math.floor(at / 1_000).toString(36);
}
