/** Where the sidecar's image keeps its certificate authority, and the one key of all certificates that it signs. */
const place = "/opt/mooring/authority";

export const authority = {
  certificate: `${place}/ca.crt`,
  key: `${place}/ca.key`,
  leafKey: `${place}/leaf.key`,
} as const;

const curve = "-pkeyopt ec_paramgen_curve:P-256";

/**
 * Shell lines that make it. They run once, when the image is made: at the start of a sidecar they would take time that workerd does not give it.
 * The authority is trusted by local containers only, and must be valid for as long as somebody keeps the image.
 */
export const makeAuthority: readonly string[] = [
  `mkdir -p ${place}`,
  `openssl req -x509 -newkey ec ${curve} -nodes -keyout ${authority.key} -subj "/CN=Mooring local interception" -days 3650` +
    ` -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -out ${authority.certificate}`,
  `openssl genpkey -algorithm EC ${curve} -out ${authority.leafKey}`,
];
