/** The version of the package, which the build puts in. Run from the sources it is the version of the next release. */
declare const MOORING_BUILD_VERSION: string | undefined;

export const version = typeof MOORING_BUILD_VERSION === "string" ? MOORING_BUILD_VERSION : "0.0.0-source";
