/** The version of the package, put in by the build; from the sources it is the one of the next release. */
declare const MOORING_BUILD_VERSION: string | undefined;

export const version = typeof MOORING_BUILD_VERSION === "string" ? MOORING_BUILD_VERSION : "0.0.0-source";
