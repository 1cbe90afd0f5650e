import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { run, type CommandResult, type RunOptions } from '../../../platform/command.ts'
import { optionsOfPerson } from '../../../platform/machine.ts'
import { scopeFor } from '../../authority/coverage.ts'
import { isTrusted } from '../../authority/scope.ts'
import { openSigner } from '../../authority/signer.ts'
import { signLeaf } from '../../certificates/leaf.ts'
import { RootlingError } from '../../errors.ts'
import { commandForEnv } from '../../runtimes/shells.ts'
import { keysOf } from '../../storage/files/keys.ts'
import { parseIdentifier } from '../../x509/identifier.ts'
import { finding, type Finding } from '../codes.ts'
import { complaintIn, runtimes, type Runtime } from '../runtimes.ts'
import type { Checked, Known } from './check.ts'

/** Milliseconds that a program may take. */
const timeLimit = 10_000
/** How many programs run at the same time. */
const atOnce = 4

/**
 * Runs every runtime that is on this machine against a server of this process, in the person's own
 * environment, and finds those that do not trust the root. The certificate of that server is for an
 * hour, and its key never leaves this process.
 */
export async function checkRuntimes(known: Known): Promise<Checked> {
  const found = await Promise.all(
    runtimes.map(async (each) => ({ each, program: await known.machine.find(each.program) })),
  )
  const present = found.flatMap(({ each, program }) =>
    program === null ? [] : [{ each, program }],
  )
  const result = (findings: readonly Finding[]): Checked => ({
    check: 'runtimes',
    subjects: present.map(({ each }) => each.name),
    findings,
  })
  if (!known.scopes.some(isTrusted)) return result([])
  const { url, close } = await openServer(known)
  try {
    const findings: Finding[] = []
    const queue = [...present]
    const work = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift())
        findings.push(...(await ask(next.each, next.program, url, known)))
    }
    await Promise.all(Array.from({ length: atOnce }, work))
    return result(findings)
  } finally {
    close()
  }
}

async function openServer(known: Known): Promise<{ url: string; close: () => void }> {
  const { scopes, world, now } = known
  const identifiers = [parseIdentifier('localhost')]
  const scope = scopeFor(scopes, identifiers)
  const signer = await openSigner(keysOf(world.state), scope, now)
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const request = { identifiers, purpose: 'server', spki, keyType: 'p256', lifetime: 1 } as const
  const { chain } = await signLeaf(request, scope, signer, now)
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
  const server = createServer({ key, cert: chain }, (_request, response) => response.end('ok'))
  server.on('tlsClientError', () => undefined)
  server.listen(0, 'localhost')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `https://localhost:${port}/`,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

/**
 * Returns with whose rights and variables the programs run: under sudo those of the person, whose files
 * they read, such as .curlrc. What the person's variables say is what is asked here, so they are all
 * passed on.
 */
export function asPerson({
  machine: { person },
  world: { env },
}: Pick<Known, 'machine' | 'world'>): Pick<RunOptions, 'env' | 'uid' | 'gid'> {
  return optionsOfPerson(person, env, false)
}

async function ask(
  { name, args, variable, lacking }: Runtime,
  program: string,
  url: string,
  known: Known,
): Promise<Finding[]> {
  let answer: CommandResult
  try {
    answer = await run(program, args(url), { ...asPerson(known), timeLimit, keepRoots: true })
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    answer = { exitCode: 1, stdout: '', stderr: error.message }
  }
  // A server that is trusted is no repository of git, which says so only then.
  const { exitCode, stderr } = answer
  const trusts =
    exitCode === 0 || exitCode === lacking || /not found|not valid: is this a git/.test(stderr)
  if (trusts) return []
  return [
    finding('runtime-ignores-store', name, {
      runtime: name,
      said: complaintIn(stderr) || `it ended with exit code ${exitCode}.`,
      remedy:
        variable === 'NODE_EXTRA_CA_CERTS' || variable === 'DENO_CERT'
          ? commandForEnv(known.world.env)
          : 'rootling run -- COMMAND',
    }),
  ]
}
