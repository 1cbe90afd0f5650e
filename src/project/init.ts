import { chownSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RootlingError } from '../errors.ts'
import { hasCode, unwritable } from '../files/errors.ts'
import { isTaken } from '../files/own-entries.ts'
import type { Owner } from '../files/owner.ts'
import { isMachineName, loopback } from '../hosts/host-name.ts'
import { checkText } from './check.ts'
import { projectFile, refusePlaceOfProject } from './find.ts'
import { guessProject, type Guess } from './guess.ts'
import { projectShape } from './shape.ts'
import { quotedPath } from '../shell-word.ts'

/** What goes into a new rootling.json. */
export interface Answers {
  readonly names: readonly string[]
  readonly cert: string
  readonly key: string
  /** Names that get lines for this machine, at 127.0.0.1 and ::1, in the hosts file. */
  readonly hosts: readonly string[]
  /** The file of variables; `null`: none. */
  readonly env: string | null
}

export interface InitOptions {
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly owner: Owner | null
  /** Returns what the person answers, given what was guessed. */
  readonly ask: (guessed: Answers, guess: Guess) => Promise<Answers>
}

export interface Initialized {
  readonly file: string
  readonly text: string
  readonly guess: Guess
}

/**
 * Writes a rootling.json in a directory, from what its files let guess and the person answers. Throws
 * `bad-project` where there is one already, `cancelled`, `state-unwritable`.
 */
export async function initProject({ cwd, env, owner, ask }: InitOptions): Promise<Initialized> {
  const file = join(cwd, projectFile)
  if (isTaken(file)) throw taken(file)
  refusePlaceOfProject(cwd, { cwd, env, owner })
  const guess = await guessProject(cwd)
  const answers = await ask(answersOf(guess), guess)
  const text = textOf(answers, guess)
  const { faults } = checkText(text, projectShape, {
    file,
    directory: cwd,
    owner,
    overrides: false,
  })
  if (faults.length > 0)
    throw new RootlingError(
      'bad-project',
      `${quotedPath(file)} would have faults, so it was not written.`,
      {
        faults,
        hint: 'What is allowed: rootling schema',
      },
    )
  try {
    // `wx`: what came into its place meanwhile is not replaced.
    writeFileSync(file, text, { flag: 'wx', mode: 0o644 })
    if (owner !== null) chownSync(file, owner.uid, owner.gid)
  } catch (error) {
    if (hasCode(error, 'EEXIST')) throw taken(file)
    throw unwritable(file, error)
  }
  return { file, text, guess }
}

/**
 * Returns what is wrong with the last of the answers given so far about the certificate, as
 * rootling.json would have it; `null`: nothing. `directory` is that of the file, and `owner` the
 * person for whom root works.
 */
export function answerFault(
  last: 'names' | 'cert' | 'key',
  given: Partial<Pick<Answers, 'names' | 'cert' | 'key'>>,
  directory: string,
  owner: Owner | null = null,
): string | null {
  const text = JSON.stringify({ version: 1, certificates: [given] })
  const file = join(directory, projectFile)
  const { faults } = checkText(text, projectShape, { file, directory, owner, overrides: false })
  const fault = faults.find(({ key }) => key.startsWith(`certificates[0].${last}`))
  // The person has not seen the file yet.
  return fault?.message.replace('certificates[0].cert', 'the path of the certificate') ?? null
}

const taken = (file: string): RootlingError =>
  new RootlingError(
    'bad-project',
    `${quotedPath(file)} is there already, so it was left as it is.`,
    {
      hint: 'To do what it says: rootling up',
    },
  )

/** Returns the answers that a guess comes to; `--yes` takes them. */
const answersOf = ({ base, names }: Guess): Answers => ({
  names,
  cert: `.certs/${base}.pem`,
  key: `.certs/${base}-key.pem`,
  hosts: hostsAmong(names),
  env: null,
})

/** The names that only a hosts file can resolve: no wildcard, not below .localhost, none of every machine. */
export const hostsAmong = (names: readonly string[]): string[] =>
  names.filter(
    (name) =>
      /\.[a-z]/i.test(name) && !/^\*|(?:^|\.)localhost$/i.test(name) && !isMachineName(name),
  )

function textOf({ names, cert, key, hosts, env }: Answers, { hasPackage, routes }: Guess): string {
  const schema = hasPackage
    ? './node_modules/rootling/schema/rootling.schema.json'
    : 'https://unpkg.com/rootling/schema/rootling.schema.json'
  const addresses = `[${loopback.map((address) => JSON.stringify(address)).join(', ')}]`
  const list = names.map((name) => JSON.stringify(name)).join(', ')
  // A name that the person left out has no certificate, so it gets no route.
  const routed = [...routes].filter(([name]) => names.includes(name))
  const lines = [
    `  "$schema": ${JSON.stringify(schema)},`,
    '  "version": 1,',
    '  "certificates": [',
    '    {',
    `      "names": [${list}],`,
    '      // up keeps both files out of commits',
    `      "cert": ${JSON.stringify(cert)},`,
    `      "key": ${JSON.stringify(key)},`,
    '    },',
    '  ],',
    ...(hosts.length === 0
      ? []
      : [
          '  "hosts": {',
          ...hosts.map((name) => `    ${JSON.stringify(name)}: ${addresses},`),
          '  },',
        ]),
    ...(routed.length === 0
      ? []
      : [
          '  "proxy": {',
          ...routed.map(([name, to]) => `    ${JSON.stringify(name)}: ${JSON.stringify(to)},`),
          '  },',
        ]),
    ...(env === null ? [] : [`  "env": { "file": ${JSON.stringify(env)} },`]),
  ]
  return `{\n${lines.join('\n')}\n}\n`
}
