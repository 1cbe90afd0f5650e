/** What a Dockerfile needs so that the image trusts a root by itself, for one kind of image. */
export interface Image {
  readonly name: string
  /** The lines, after `rootling ca export --all --out rootling.crt` beside the Dockerfile. */
  readonly lines: readonly string[]
}

/**
 * Returns the lines that write each root into a file of its own in a directory. From a file of
 * several roots, update-ca-certificates makes no link by which OpenSSL finds one, and keytool imports
 * the first root alone.
 */
const oneRootPerFile = (directory: string, next = ''): string[] => [
  'COPY rootling.crt /tmp/rootling.crt',
  `RUN mkdir -p ${directory} && awk '/BEGIN CERT/ { n++ } n { print > ("${directory}/rootling-" n ".crt") }' /tmp/rootling.crt${next}`,
]

/**
 * Every kind of image, by the documentation of its maker. Those of Debian are what
 * `rootling install` does on Debian; the others were read about, not tried.
 */
export const images: readonly Image[] = [
  {
    name: 'debian',
    lines: [
      'RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates',
      ...oneRootPerFile('/usr/local/share/ca-certificates', ' && update-ca-certificates'),
    ],
  },
  {
    name: 'alpine',
    lines: [
      'RUN apk add --no-cache ca-certificates',
      ...oneRootPerFile('/usr/local/share/ca-certificates', ' && update-ca-certificates'),
    ],
  },
  {
    name: 'fedora',
    lines: [
      'COPY rootling.crt /etc/pki/ca-trust/source/anchors/rootling.crt',
      'RUN update-ca-trust',
    ],
  },
  {
    name: 'node',
    lines: [
      'COPY rootling.crt /etc/rootling/roots.pem',
      'ENV NODE_EXTRA_CA_CERTS=/etc/rootling/roots.pem',
    ],
  },
  {
    // Its entry point reads the directory (github.com/adoptium/containers, "CA certificates").
    name: 'temurin',
    lines: [...oneRootPerFile('/certificates'), 'ENV USE_SYSTEM_CA_CERTS=1'],
  },
  // It has no shell, and no program that adds a root: only a mounted file helps.
  { name: 'distroless', lines: [] },
]
