/** The names of a Compose file; where there are several, Compose reads the first. */
export const composeFiles = [
  'compose.yaml',
  'compose.yml',
  'docker-compose.yaml',
  'docker-compose.yml',
] as const

/** A website that a service of a Compose file publishes on a port of this machine. */
export interface PublishedSite {
  readonly service: string
  readonly port: number
  /** Whether it speaks HTTPS, as its port in the container says. */
  readonly secure: boolean
}

/** The ports on which containers serve websites; on others they serve databases and the like. */
const httpPorts = new Set([80, 3000, 4200, 4321, 5000, 5173, 8000, 8080, 8081, 8888])
const httpsPorts = new Set([443, 8443, 9443])

/** HOST:CONTAINER, before which an address of this machine may be and behind which the protocol. */
const short =
  /^(?:(?:127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):)?(?:\$\{\w{1,64}:?-(\d{1,5})\}|(\d{1,5})):(\d{1,5})(?:\/tcp)?$/

/**
 * Returns the first website of each service in a Compose file. Reads only the plain forms of YAML,
 * line by line, since a guess is all that is wanted; what is written in another form is passed over.
 */
export function publishedSites(text: string): PublishedSite[] {
  const sites = new Map<string, PublishedSite>()
  for (const { service, mapping } of mappingsIn(text)) {
    const [, byDefault, host = byDefault, container] = short.exec(mapping) ?? []
    const [port, inside] = [Number(host), Number(container)]
    const secure = httpsPorts.has(inside)
    const isSite = port >= 1 && port <= 65_535 && (secure || httpPorts.has(inside))
    if (isSite && !sites.has(service)) sites.set(service, { service, port, secure })
  }
  return [...sites.values()]
}

/** The key, and the value, of a line of YAML. */
const member = /^(?:- +)?["']?([\w.-]+)["']?:(?:\s+([^]*))?$/

/**
 * Returns the names of the services in a Compose file that is written in the plain forms of YAML;
 * of another form, none.
 */
export function serviceNames(text: string): string[] {
  const names = new Set<string>()
  let inServices = false
  let services = -1
  for (const line of text.split(/\r?\n/)) {
    const content = line.trim().replace(/\s#.*$/, '')
    if (content === '' || content.startsWith('#')) continue
    const indent = line.length - line.trimStart().length
    const key = member.exec(content)?.[1] ?? ''
    if (indent === 0) {
      inServices = key === 'services'
      services = -1
    } else if (inServices) {
      if (services === -1) services = indent
      if (indent === services && key !== '') names.add(key)
    }
  }
  return [...names]
}

interface Mapping {
  readonly service: string
  /** In the short form, such as `8443:443`. */
  readonly mapping: string
}

function mappingsIn(text: string): Mapping[] {
  const found: Mapping[] = []
  /** The indents of the services, of the keys of a service, and of its key `ports`. */
  let [services, keys, ports] = [-1, -1, -1]
  let inServices = false
  let service = ''
  let target = ''
  let published = ''
  for (const line of text.split(/\r?\n/)) {
    const content = line.trim().replace(/\s#[^]*$/, '')
    if (content === '' || content.startsWith('#')) continue
    const indent = line.length - line.trimStart().length
    const [, key = '', value = ''] = member.exec(content) ?? []
    if (indent === 0) {
      inServices = key === 'services'
      services = keys = ports = -1
      continue
    }
    if (!inServices) continue
    if (services === -1) services = indent
    if (indent === services) {
      service = key
      keys = ports = -1
      continue
    }
    if (keys === -1) keys = indent
    if (indent === keys && !content.startsWith('-')) {
      ports = key === 'ports' ? indent : -1
      for (const item of /^\[(.*)\]$/.exec(value)?.[1]?.split(',') ?? [])
        if (ports !== -1) found.push({ service, mapping: unquoted(item) })
    } else if (ports !== -1) {
      if (content.startsWith('-')) target = published = ''
      if (key === 'target') target = unquoted(value)
      if (key === 'published') published = unquoted(value)
      // In the long form a mapping is an object, whose members have any order.
      if (target !== '' && published !== '') {
        found.push({ service, mapping: `${published}:${target}` })
        target = published = ''
      } else if (content.startsWith('-'))
        found.push({ service, mapping: unquoted(content.slice(1)) })
    }
  }
  return found
}

const unquoted = (text: string): string => text.trim().replace(/^(["'])(.*)\1$/, '$2')
