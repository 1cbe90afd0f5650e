import { renderUnicodeCompact } from 'uqr'
import { scopeFor } from '../../authority/coverage.ts'
import { requireScopes, type Scope } from '../../authority/scope.ts'
import { onDemandIssuer } from '../../certificates/on-demand.ts'
import { RootlingError } from '../../errors.ts'
import { shareAddress } from '../../sites/share/address.ts'
import { wordsOf } from '../../sites/share/fingerprint-words.ts'
import { startShare, type ShareEvent, type SharedRoot } from '../../sites/share/share-server.ts'
import { describeScope } from '../../authority/describe-scope.ts'
import { parseIdentifier } from '../../x509/identifier.ts'
import { fingerprintText } from '../../x509/parsed-certificate.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { hanging, type Line } from '../lines.ts'
import { listeningAs, parsePort, stopSignal } from '../listening.ts'
import { shareApps } from '../shared-apps.ts'
import { shareSpec } from '../specs/share.ts'

/** `rootling share`: gives the public root to devices of the network, until a time, a signal or a success. */
export async function share(
  args: ArgumentsOf<typeof shareSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, output, now } = context
  const { minutes = 10, once = false } = args
  if (!(minutes > 0 && minutes <= 60))
    throw new RootlingError('usage', `--minutes ${minutes} is not between 1 and 60.`, {
      hint: '--minutes 10',
    })
  const address = shareAddress(args.address)
  const scope = scopeFor(await requireScopes(state), [parseIdentifier(address)])
  const root = sharedRoot(scope)
  const until = new Date(now().getTime() + minutes * 60_000)
  let onTrust = (): void => undefined
  const trusted = new Promise<'trusted'>((resolve) => (onTrust = () => resolve('trusted')))
  const onError = (error: unknown): void => output.log(`error: ${String(error)}`)
  const pair = await onDemandIssuer(state, now)(address, true)
  const appPort = args['app-port']
  const apps =
    args.positionals.length === 0
      ? null
      : await listeningAs(
          shareSpec,
          args,
          shareApps({
            state,
            hosts: args.positionals,
            address,
            ports:
              appPort === undefined
                ? [443, 14_672]
                : [parsePort(appPort, '--app-port 14672', 'app-port')],
            pair,
            now,
            onError,
          }),
        )
  const starting = startShare({
    address,
    port: parsePort(args.port ?? 14_670, '--port 14670, or 0 for a free one'),
    checkPort: parsePort(args['check-port'] ?? 14_671, '--check-port 14671', 'check-port'),
    root,
    pair,
    until,
    now,
    apps: apps?.urls ?? [],
    onEvent(event) {
      output.note(sentenceOf(event))
      if (event.what === 'trusted') onTrust()
    },
    onError,
  })
  const sharing = await listeningAs(shareSpec, args, starting).catch(async (error: unknown) => {
    await apps?.close()
    throw error
  })
  const { url, checkUrl } = sharing
  const words = wordsOf(root.fingerprint)
  output.result(
    [
      ...(output.isTerminal ? renderUnicodeCompact(url, { border: 2 }).split('\n') : []),
      `open         ${url}`,
      'fingerprint',
      `  ${fingerprintText(root.fingerprint)}`,
      ...wordLines(words, output),
      ...(apps?.urls ?? []).map((each) => `shared       ${each}`),
    ],
    {
      url,
      checkUrl,
      address,
      fingerprint: root.fingerprint,
      words,
      permitted: root.permitted,
      apps: apps?.urls ?? [],
      until: until.toISOString(),
      pid: process.pid,
    },
  )
  output.note(
    `Every device of the network of ${address} can open this, by its secret path, for ${minutes} minutes. Stop it with Ctrl-C.`,
  )
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<'over'>((resolve) => {
    timer = setTimeout(() => resolve('over'), minutes * 60_000)
  })
  const end = await Promise.race([stopSignal(), over, ...(once ? [trusted] : [])])
  clearTimeout(timer)
  // The answer by which a device proved its trust has to arrive.
  await Promise.all([sharing.close(), apps?.close()])
  output.note(end === 'over' ? 'The time is over.' : 'Sharing has ended.')
  return once && end !== 'trusted' ? exitCodes.notTrusted : exitCodes.ok
}

function sharedRoot(scope: Scope): SharedRoot {
  const { constraints, fingerprint, subject } = describeScope(scope)
  const permitted = constraints === null ? [] : [...constraints.dns, ...constraints.ip]
  return {
    name: subject,
    der: scope.root.raw,
    pem: scope.root.toString(),
    fingerprint,
    permitted,
  }
}

/** Returns the words of the fingerprint, below each other where a terminal is too narrow for one line. */
function wordLines(words: readonly string[], { isTerminal, width }: Context['output']): Line[] {
  const line = `in words     ${words.join(' ')}`
  return isTerminal ? hanging(line, 'in words     '.length, width, 0) : [line]
}

const sentenceOf = ({ what, address, device }: ShareEvent): string => {
  switch (what) {
    case 'opened':
      return `${address} (${device}) opened the page.`
    case 'fetched':
      return `${address} (${device}) fetched the root.`
    case 'trusted':
      return `${address} (${device}) trusts the root: it opened https without a warning.`
  }
}
