/** What a Dockerfile needs so that the image trusts a root by itself, for one kind of image. */
export interface Image {
  readonly name: string
  /** The lines, after `rootling ca export --out rootling.crt` beside the Dockerfile. */
  readonly lines: readonly string[]
}

/**
 * Every kind of image, by the documentation of its maker. Those of Debian are what
 * `rootling install` does on Debian; the others were read about, not tried.
 */
export const images: readonly Image[] = [
  {
    name: 'debian',
    lines: [
      'RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates',
      'COPY rootling.crt /usr/local/share/ca-certificates/rootling.crt',
      'RUN update-ca-certificates',
    ],
  },
  {
    name: 'alpine',
    lines: [
      'RUN apk add --no-cache ca-certificates',
      'COPY rootling.crt /usr/local/share/ca-certificates/rootling.crt',
      'RUN update-ca-certificates',
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
    lines: ['COPY rootling.crt /certificates/rootling.crt', 'ENV USE_SYSTEM_CA_CERTS=1'],
  },
  // It has no shell, and no program that adds a root: only a mounted file helps.
  { name: 'distroless', lines: [] },
]
