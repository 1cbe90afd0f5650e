import { RootlingError } from '../errors.ts'
import { checkPermit } from '../authority/create.ts'
import type { Owner } from '../files/owner.ts'
import { isMachineName } from '../hosts/host-name.ts'
import { parseUpstream } from '../proxy/routes.ts'
import { isIP } from '../x509/ip.ts'
import { isBareWildcard, mostNames, parseIdentifier } from '../x509/identifier.ts'
import { maximumDays } from '../x509/profiles.ts'
import { pathFault, placeFault } from './inside.ts'

/**
 * What a value in rootling.json may be, as data: the checker (`check.ts`) and the JSON Schema
 * (`json-schema.ts`) are both made from it.
 */
export type Shape =
  | ObjectShape
  | {
      readonly type: 'map'
      readonly describe: string
      readonly keys: TextShape
      readonly values: Shape
    }
  | {
      readonly type: 'list'
      readonly describe: string
      readonly items: Shape
      readonly least: number
      readonly most: number
      /** Members of the items that must differ from all others in the file. */
      readonly unlike?: readonly string[]
      /** What is wrong with the list as a whole; `null`: nothing. */
      readonly fault?: (items: readonly unknown[]) => string | null
    }
  | TextShape
  | {
      readonly type: 'whole'
      readonly describe: string
      readonly least: number
      readonly most: number
    }
  | {
      readonly type: 'choice'
      readonly describe: string
      readonly choices: readonly (string | number)[]
    }
  /** A list or a whole number comes first, and decides about a value of its JSON type; else the second. */
  | { readonly type: 'either'; readonly describe: string; readonly of: readonly [Shape, Shape] }

export interface ObjectShape {
  readonly type: 'object'
  readonly describe: string
  readonly members: Readonly<Record<string, Shape>>
  readonly required: readonly string[]
}

export interface TextShape {
  readonly type: 'text'
  readonly describe: string
  /** What such a text is, as the end of “it must be …”. */
  readonly allowed: string
  /** A regular expression of what may be right at all, which the JSON Schema has too. */
  readonly pattern?: string
  /** What is wrong with a text that fits the pattern; `null`: nothing. */
  readonly fault?: (text: string, place: Place) => string | null
}

/** Where the file is whose values are checked. */
export interface Place {
  /** The absolute path of its directory. */
  readonly directory: string
  /** The person for whom root works; absent or `null`: there is none. */
  readonly owner?: Owner | null
}

const longestCommand = 2_000

const hostName: TextShape = {
  type: 'text',
  describe: 'A host name',
  allowed: 'a host name such as shop.test',
  fault: (text) => identifierFault(text, 'a host name', ({ type, value }) => isHost(type, value)),
}

const routeName: TextShape = {
  type: 'text',
  describe: 'A host name, or a wildcard for all names below a domain',
  allowed: 'a host name such as shop.localhost, or a wildcard such as *.shop.localhost',
  fault: (text) => identifierFault(text, 'a host name or a wildcard', ({ type }) => type === 'dns'),
}

const isHost = (type: string, value: string): boolean => type === 'dns' && !value.startsWith('*')

const ipAddress: TextShape = {
  type: 'text',
  describe: 'An IP address',
  allowed: 'an IP address such as 127.0.0.1',
  fault: (text) => (isIP(text) === 0 ? 'is no IP address' : null),
}

const filePath = (describe: string, pattern: string, allowed: string): TextShape => ({
  type: 'text',
  describe,
  allowed,
  pattern,
  fault: (text, { directory, owner = null }) =>
    pathFault(text) ?? placeFault(directory, text, owner),
})

const certificateFile = (describe: string): TextShape =>
  filePath(
    `${describe}: a path below the directory of this file`,
    '\\.(?:pem|crt|cer|key)$',
    'a path that ends in .pem, .crt, .cer or .key',
  )

const certificate: ObjectShape = {
  type: 'object',
  describe: 'A certificate for servers, with its key',
  required: ['names', 'cert', 'key'],
  members: {
    names: {
      type: 'list',
      describe: 'Host names, wildcards and IP addresses, the most important first',
      least: 1,
      most: mostNames,
      fault: bareWildcardFault,
      items: {
        type: 'text',
        describe: 'A host name, a wildcard such as *.dev.shop.test, or an IP address',
        allowed: 'a host name, a wildcard or an IP address',
        fault: (text) =>
          identifierFault(text, 'a host name, a wildcard or an IP address', ({ type }) =>
            ['dns', 'ip'].includes(type),
          ),
      },
    },
    cert: certificateFile('Where the certificate goes, with its intermediate'),
    key: certificateFile('Where its private key goes; up adds both to .gitignore'),
    keyType: {
      type: 'choice',
      describe: 'The kind of key; default p256',
      choices: ['p256', 'p384', 'rsa2048', 'rsa3072', 'rsa4096', 'ed25519'],
    },
    days: {
      type: 'whole',
      describe: 'How long it is good; default 397',
      least: 1,
      most: maximumDays,
    },
    onRenew: {
      type: 'text',
      describe: 'A command that a shell runs here after each renewal; each person approves it once',
      allowed: `a command in one line, of at most ${longestCommand} characters`,
      pattern: '\\S',
      fault: (text) => (text.length > longestCommand ? 'is too long' : null),
    },
  },
}

const trusted: ObjectShape = {
  type: 'object',
  describe: 'The public root of a teammate’s authority; each person approves it once',
  required: ['root', 'fingerprint'],
  members: {
    root: certificateFile('The root’s certificate'),
    fingerprint: {
      type: 'text',
      describe: 'The SHA-256 of the root in hex, as rootling ca list prints it',
      allowed: 'a SHA-256 in hex, which has 64 digits',
      pattern: '^(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$',
    },
    names: {
      type: 'list',
      describe: 'What the root may sign besides the local names and private addresses',
      least: 0,
      most: mostNames,
      items: permitted('A domain with all below it, or a range of addresses'),
    },
  },
}

function permitted(describe: string): TextShape {
  return {
    type: 'text',
    describe,
    allowed: 'a domain such as dev.example.com, or a range such as 203.0.113.0/24',
    fault: (text) => thrown(() => checkPermit({ permit: [text] })),
  }
}

/** What rootling.json holds. */
export const projectShape: ObjectShape = {
  type: 'object',
  describe: 'What this project needs of Rootling; https://www.npmjs.com/package/rootling',
  required: ['version'],
  members: {
    $schema: { type: 'text', describe: 'Where the JSON Schema is, for editors', allowed: 'a text' },
    version: { type: 'choice', describe: 'The version of this format', choices: [1] },
    certificates: {
      type: 'list',
      describe: 'The certificates that up issues',
      least: 0,
      most: 100,
      items: certificate,
      unlike: ['cert', 'key'],
    },
    permit: {
      type: 'list',
      describe:
        'Names besides the local ones, for a scope of its own; each person approves them once',
      least: 0,
      most: mostNames,
      items: permitted('A domain with all below it, or a range of addresses'),
    },
    hosts: {
      type: 'map',
      describe: 'Lines of the hosts file: which address each name has, or which several',
      keys: { ...hostName, fault: hostsNameFault },
      values: {
        type: 'either',
        describe: 'An IP address or a list of them, such as ["127.0.0.1", "::1"]',
        of: [
          { type: 'list', describe: 'IP addresses', items: ipAddress, least: 1, most: 10 },
          ipAddress,
        ],
      },
    },
    proxy: {
      type: 'map',
      describe:
        'Which local server answers for each name, as for rootling proxy add; a name without a dot is one of the project, NAME.PROJECT.localhost',
      keys: routeName,
      values: {
        type: 'either',
        describe:
          'A port of this machine, or an origin such as http://127.0.0.1:4000 or h2c://localhost:50051',
        of: [
          { type: 'whole', describe: 'A port of localhost', least: 1, most: 65_535 },
          {
            type: 'text',
            describe: 'The origin of a server',
            allowed: 'a port, or an origin such as http://127.0.0.1:4000',
            pattern: '^(?:https?|h2c)://[^/?#@]+/?$',
            fault: (text) => thrown(() => parseUpstream(text)),
          },
        ],
      },
    },
    trust: {
      type: 'list',
      describe: 'Public roots of teammates',
      least: 0,
      most: 50,
      items: trusted,
      unlike: ['fingerprint'],
    },
    env: {
      type: 'object',
      describe: 'The file with the variables that make programs trust the roots',
      required: ['file'],
      members: {
        file: filePath(
          'Where to write what rootling env --shell dotenv prints',
          '(?:^|/)\\.env[^/]*$',
          'a path whose last part begins with .env',
        ),
      },
    },
  },
}

/** Runs a check that throws, and returns its sentence with the hint; `null`: nothing is wrong. */
function thrown(check: () => unknown): string | null {
  try {
    check()
    return null
  } catch (error) {
    if (error instanceof RootlingError) return error.message
    throw error
  }
}

function identifierFault(
  text: string,
  what: string,
  isRight: (identifier: { type: string; value: string }) => boolean,
): string | null {
  // parseIdentifier forgives spaces around a name that somebody typed.
  if (text !== text.trim()) return 'has spaces around it'
  return thrown(() => {
    if (!isRight(parseIdentifier(text))) throw new RootlingError('bad-name', `is not ${what}`)
  })
}

/** Firefox refuses a whole certificate that holds a wildcard under a top-level name among others. */
function bareWildcardFault(names: readonly unknown[]): string | null {
  if (names.length < 2) return null
  const bare = names
    .filter((name) => typeof name === 'string')
    .find(
      (name) =>
        thrown(() => parseIdentifier(name)) === null && isBareWildcard(parseIdentifier(name)),
    )
  return bare === undefined
    ? null
    : `holds ${bare} among other names, which Firefox refuses: write ${bare.replace('*.', '*.dev.')}, or give it a certificate of its own`
}

function hostsNameFault(text: string, place: Place): string | null {
  const fault = hostName.fault?.(text, place) ?? null
  if (fault !== null || !isMachineName(parseIdentifier(text).value)) return fault
  return 'is a name of this machine itself, whose lines no project changes'
}
