import { RootlingError } from '../errors.ts'
import { images } from './images.ts'

/** The files of public certificates on this machine, which containers are to read. */
export interface ContainerFiles {
  /** Our roots alone. */
  readonly roots: string
  /** The system's roots and ours, for variables that replace all others. */
  readonly bundle: string
}

/** For which containers, and whose machine, the texts are. */
export interface ContainerOptions {
  /** The services of the Compose file; none: `app`, with a comment. */
  readonly services?: readonly string[]
  /** Whether devcontainer.json names a Compose file, so that tools read other members of it. */
  readonly devcontainerByCompose?: boolean
  /** The home directory, which devcontainer.json names by a variable; absent: by its path. */
  readonly home?: string | undefined
}

/** What containers need so that programs in them trust the roots, and reach this machine. */
export interface ContainerTexts {
  /** For compose.override.yaml. */
  readonly compose: string
  /** For devcontainer.json. */
  readonly devcontainer: string
  /** For a Dockerfile whose image is to trust the root by itself, by the name of the image. */
  readonly dockerfile: Readonly<Record<string, string>>
}

const inside = { roots: '/etc/rootling/roots.pem', bundle: '/etc/rootling/bundle.pem' }

/** What programs in a container are told to read. It works in every image, without a shell too. */
const variables: Readonly<Record<string, string>> = {
  NODE_EXTRA_CA_CERTS: inside.roots,
  ...Object.fromEntries(
    [
      'SSL_CERT_FILE',
      'REQUESTS_CA_BUNDLE',
      'CURL_CA_BUNDLE',
      'PIP_CERT',
      'GIT_SSL_CAINFO',
      'CARGO_HTTP_CAINFO',
      'PERL_LWP_SSL_CA_FILE',
      'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
    ].map((name) => [name, inside.bundle]),
  ),
}

/**
 * Returns what containers need. The files are mounted, so that no image holds them; `names` are
 * those that lead to this machine. Throws `usage` for a name that cannot, or a path that cannot be
 * written so that Docker reads it.
 */
export function containerTexts(
  { roots, bundle }: ContainerFiles,
  names: readonly string[],
  { services = [], devcontainerByCompose = false, home }: ContainerOptions = {},
): ContainerTexts {
  const hosts = names.map(checkedHost)
  const mounts = [
    { source: roots, target: inside.roots },
    { source: bundle, target: inside.bundle },
  ]
  for (const { source } of mounts) refusePath(source)
  const hostLines =
    hosts.length === 0
      ? []
      : [
          ...bridgeLines(hosts).map((line) => `    # ${line}`),
          '    extra_hosts:',
          ...hosts.map((host) => `      - "${host}:host-gateway"`),
        ]
  const members = [
    '    volumes:',
    ...mounts.flatMap(({ source, target }) => [
      '      - type: bind',
      // Compose reads $ as the beginning of a variable.
      `        source: ${JSON.stringify(source.replaceAll('$', '$$$$'))}`,
      `        target: ${target}`,
      '        read_only: true',
      // Otherwise Docker would make a directory of this name where the file is missing.
      '        bind:',
      '          create_host_path: false',
    ]),
    '    environment:',
    ...Object.entries(variables).map(([name, value]) => `      ${name}: ${value}`),
    ...hostLines,
  ]
  const compose = [
    'services:',
    ...(services.length === 0
      ? ['  # app stands for your service: rootling docker --for compose --service NAME']
      : []),
    ...(services.length === 0 ? ['app'] : services.map(checkedService)).flatMap((service) => [
      `  ${service}:`,
      ...members,
    ]),
  ]
  const devcontainer = {
    mounts: mounts.map(
      ({ source, target }) => `source=${byHome(source, home)},target=${target},type=bind,readonly`,
    ),
    [devcontainerByCompose ? 'remoteEnv' : 'containerEnv']: variables,
    ...(hosts.length === 0 || devcontainerByCompose
      ? {}
      : { runArgs: hosts.map((host) => `--add-host=${host}:host-gateway`) }),
  }
  return {
    compose: `${compose.join('\n')}\n`,
    devcontainer: `${JSON.stringify(devcontainer, null, 2)}\n`,
    dockerfile: Object.fromEntries(
      images.map(({ name, lines }) => [name, lines.map((line) => `${line}\n`).join('')]),
    ),
  }
}

/**
 * Returns what a person must know of names that lead to this machine: on Linux they lead to the
 * address of Docker's bridge, where a server on loopback does not listen.
 */
export const bridgeLines = (names: readonly string[]): string[] => [
  'On Linux these names lead to Docker’s bridge, so servers of this machine must listen there',
  `(172.17.0.1, unless ip addr show docker0 says otherwise): rootling serve --host 172.17.0.1 ${names.join(' ')}`,
]

/** Throws `usage` for a name of a host or a service that `containerTexts` refuses. */
export function checkNames(hosts: readonly string[], services: readonly string[]): void {
  hosts.forEach(checkedHost)
  services.forEach(checkedService)
}

/** Returns a service as a key of YAML. Throws `usage` for a name that Compose takes for none. */
function checkedService(name: string): string {
  if (!/^[a-zA-Z0-9._-]+$/.test(name))
    throw new RootlingError('usage', `${JSON.stringify(name)} is no name of a Compose service.`, {
      hint: 'Letters, digits, dots, underscores and hyphens: rootling docker --service web --service api',
    })
  // YAML reads words such as on, and numbers, as something else than text.
  return /^[a-z][\w.-]*$/i.test(name) && !/^(?:y|n|yes|no|on|off|true|false|null)$/i.test(name)
    ? name
    : JSON.stringify(name)
}

/** Returns a path in which a variable of devcontainer.json takes the place of the home directory. */
const byHome = (path: string, home: string | undefined): string =>
  home !== undefined && home.length > 1 && path.startsWith(`${home}/`)
    ? `\${localEnv:HOME}${path.slice(home.length)}`
    : path

/** Returns a name for extra_hosts. Throws `usage` for one that a container takes for itself. */
function checkedHost(name: string): string {
  const host = name.toLowerCase()
  if (/(?:^|\.)localhost$/.test(host))
    throw new RootlingError('usage', `${name} is the container itself, wherever it is asked for.`, {
      hint: 'Use a name under test: rootling docker shop.test',
    })
  if (
    !/^(?=.{1,253}$)(?!.*\.\d+$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/.test(
      host,
    )
  )
    throw new RootlingError('usage', `${name} is no host name that can be given to a container.`, {
      hint: 'Name each host, without wildcards: rootling docker shop.test api.shop.test',
    })
  return host
}

/** The mounts of devcontainer.json know no quotes. */
function refusePath(path: string): void {
  if (!/[,"\p{Cc}]/u.test(path)) return
  throw new RootlingError(
    'usage',
    `${JSON.stringify(path)} cannot be mounted: Docker reads a comma, a quote or a control character in it as something else.`,
    { hint: 'Set ROOTLING_HOME to a directory with a plain name' },
  )
}
