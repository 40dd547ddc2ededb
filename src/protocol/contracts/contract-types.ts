/** What the contracts say in types: answers, bodies and queries by operation. The client is written in these; types only. */
import type { z } from "zod";
import type { Native } from "./native-contracts.ts";

export type OperationId = Native["operation"];
type ContractOf<O extends OperationId> = Extract<Native, { operation: O }>;

export type MethodOf<O extends OperationId> = ContractOf<O>["method"];
export type PathOf<O extends OperationId> = ContractOf<O>["path"];
type SegmentsOf<P extends string> = P extends `${string}:${infer Name}/${infer Rest}`
  ? Name | SegmentsOf<Rest>
  : P extends `${string}:${infer Name}`
    ? Name
    : never;
/** The segments of its path that vary, by name. */
export type ParametersOf<O extends OperationId> = { readonly [N in SegmentsOf<PathOf<O>>]: string };

type BodyOf<A> = A extends { readonly body: infer S extends z.ZodType } ? z.output<S> : never;
type Success<R> = { [S in keyof R]: BodyOf<R[S]> }[keyof R];

/** What an operation answers when it succeeds. */
export type AnswerOf<O extends OperationId> = Success<ContractOf<O>["answers"]>;
/** What an operation takes as its body. */
export type BodyFor<O extends OperationId> =
  ContractOf<O> extends { readonly body: { readonly schema: infer S extends z.ZodType } } ? z.input<S> : never;

/** What an operation takes in its query: numbers and booleans as such, labels as an object. */
export type QueryFor<O extends OperationId> =
  ContractOf<O> extends { readonly query: infer S extends z.ZodType }
    ? { readonly [K in keyof z.output<S>]?: z.output<S>[K] | undefined }
    : never;
