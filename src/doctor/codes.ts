import { quotedPath, shellWord } from '../shell-word.ts'

/**
 * `error`: something is refused now. `warning`: something is unsafe, or will be refused. `note`:
 * good to know; nothing is wrong.
 */
export type Severity = 'error' | 'warning' | 'note'

/** A finding in words: one sentence, and a command that can be pasted, or else what to do. */
interface Words {
  readonly sentence: string
  readonly command?: string
  readonly remedy?: string
}

const row = <D>(severity: Severity, say: (details: D) => Words) => ({ severity, say })
const error = <D>(say: (details: D) => Words) => row('error', say)
const warning = <D>(say: (details: D) => Words) => row('warning', say)
const note = <D>(say: (details: D) => Words) => row('note', say)

/** A store, and what it says of itself. */
interface InStore {
  readonly store: string
  readonly reason?: string | undefined
  readonly command?: string | undefined
  readonly remedy?: string | undefined
}

const install = 'rootling install'

/** Returns the words for a store without the root: what the store itself suggests comes first. */
const lacking =
  (verb: string) =>
  ({ store, reason, command, remedy }: InStore): Words => ({
    sentence: `${store} ${verb}${reason === undefined ? '.' : `: ${reason}`}`,
    ...(command === undefined && remedy !== undefined
      ? { remedy }
      : { command: command ?? install }),
  })

/** Returns the words for a fault of a certificate, whose own words are in messages.ts. */
const faulty = (d: {
  readonly what: string
  readonly sentence: string
  readonly remedy: string
}): Words => ({ sentence: `${d.what}: ${d.sentence}`, remedy: d.remedy })

/**
 * Everything that `doctor` can find, in the order in which a person should see to it. No other place
 * has such sentences, except for the faults of a certificate, which messages.ts has.
 */
export const codes = {
  // What keeps everything else from being known or mended.
  'clock-wrong': error((d: { readonly now: string; readonly made: string }) => ({
    sentence: `The clock says ${d.now}, but the authority was made on ${d.made}.`,
    remedy: 'Set the clock of this machine',
  })),
  'made-with-sudo': error(
    (d: { readonly path: string; readonly owner: number; readonly command: string }) => ({
      sentence: `${quotedPath(d.path)} belongs to the user ${d.owner}, as files do that a command under sudo left.`,
      command: d.command,
    }),
  ),
  'damaged-state': error((d: { readonly sentence: string; readonly remedy: string }) => d),
  'loose-key': error(
    (d: {
      readonly path: string
      readonly mode: string
      readonly command: string
      readonly isRecord?: boolean
    }) => ({
      sentence: `Others can ${d.isRecord === true ? 'write to the record' : 'read the private key'} ${quotedPath(d.path)} (mode ${d.mode}).`,
      command: d.command,
    }),
  ),
  'container-without-root': error(() => ({
    sentence:
      'This is a container without an authority, and no variable names the root of its host.',
    command: 'rootling docker',
  })),
  'not-installed': error((d: { readonly home: string | null }) => ({
    sentence:
      d.home === null
        ? 'There is no certificate authority yet.'
        : `No trust store trusts the authority in ${d.home}.`,
    command: install,
  })),
  'nss-tools-missing': error(
    (d: { readonly stores: string; readonly reason: string; readonly remedy: string }) => ({
      sentence: `${d.reason} So nothing is known of ${d.stores}.`,
      remedy: d.remedy,
    }),
  ),
  'root-mismatch': error(
    (d: { readonly store: string; readonly authority: string; readonly command: string }) => ({
      sentence: `${d.store} trusts an older root of ${d.authority}, and not the one that signs now.`,
      command: d.command,
    }),
  ),
  'store-missing-root': error(lacking('does not trust the root')),
  'profile-missing-root': error(lacking('does not trust the root')),
  'java-missing-root': error(lacking('does not trust the root')),
  'firefox-os-roots-off': error(lacking('does not trust the root')),
  'browser-database-missing': warning(lacking('has no database that could trust the root')),

  // A server.
  'resolves-elsewhere': error(
    (d: { readonly host: string; readonly addresses: readonly string[] }) => ({
      sentence:
        d.addresses.length === 0
          ? `${d.host} has no address.`
          : `${d.host} leads to ${d.addresses.join(', ')}, which is not this machine.`,
      command: `rootling hosts add ${shellWord(d.host)}`,
    }),
  ),
  'hosts-drift': error(
    (d: { readonly name: string; readonly address: string; readonly file: string }) => ({
      sentence: `${quotedPath(d.file)} leads ${d.name}, which a certificate here is for, to ${d.address}, which is not this machine.`,
      command: `rootling hosts add ${shellWord(d.name)}`,
    }),
  ),
  'not-listening': error((d: { readonly where: string }) => ({
    sentence: `Nothing listens on ${d.where}.`,
    remedy: 'Start the server, or check the port',
  })),
  'plain-http': error((d: { readonly where: string; readonly url: string }) => ({
    sentence: `${d.where} speaks plain HTTP, not TLS.`,
    remedy: `Open ${d.url}, or give the server a certificate: rootling issue NAME`,
  })),
  'no-handshake': error((d: { readonly where: string; readonly reason: string }) => ({
    sentence: `${d.where} ends the handshake: ${d.reason}.`,
    remedy: 'Check the log of the server',
  })),
  'ipv6-not-listening': warning((d: { readonly host: string; readonly port: number }) => ({
    sentence: `${d.host} leads to ::1 too, where nothing listens on port ${d.port}: clients that try only that fail, others wait.`,
    remedy: 'Let the server listen on ::1 as well as on 127.0.0.1',
  })),
  'served-by-another': error((d: { readonly host: string; readonly issuer: string }) => ({
    sentence: `The certificate of ${d.host} is of another issuer: ${d.issuer}.`,
    remedy: `Give the server the files of: rootling issue ${shellWord(d.host)}`,
  })),
  'client-refuses': warning(
    (d: { readonly client: string; readonly where: string; readonly command: string }) => ({
      sentence: `${d.where} shows a certificate that ${d.client} on this machine would refuse.`,
      command: d.command,
    }),
  ),
  'served-is-not-on-disk': error((d: { readonly where: string; readonly file: string }) => ({
    sentence: `${d.where} serves an older certificate than ${quotedPath(d.file)} holds: it has not read the file again.`,
    remedy:
      'Reload the server; a command after each renewal: rootling issue NAME --on-renew COMMAND',
  })),

  // A certificate.
  expired: error(
    (d: { readonly what: string; readonly until: string; readonly command: string }) => ({
      sentence: `${d.what} ended on ${d.until}.`,
      command: d.command,
    }),
  ),
  'chain-incomplete': error(faulty),
  'name-missing': error(
    (d: { readonly what: string; readonly name: string; readonly remedy: string }) => ({
      sentence: `${d.what} does not name ${d.name}.`,
      remedy: d.remedy,
    }),
  ),
  'outside-constraints': error(faulty),
  'wildcard-too-wide': error(faulty),
  'certificate-refused': error(faulty),
  'ip-leaf-in-bun': warning((d: { readonly what: string }) => ({
    sentence: `${d.what}: Bun, which is on this machine, refuses an address in a certificate whose authority constrains addresses.`,
    remedy: 'For Bun, issue a certificate without addresses',
  })),
  due: warning(
    (d: { readonly what: string; readonly until: string; readonly command: string }) => ({
      sentence: `${d.what} is due for renewal; it ends on ${d.until}.`,
      command: d.command,
    }),
  ),
  'issuer-ends-soon': warning((d: { readonly sentence: string; readonly command: string }) => d),
  'outdated-issuer': warning((d: { readonly scope: string }) => ({
    sentence: `The scope ${d.scope} is of an older version: a thief of its key could also be any client or sign mail.`,
    command: `rootling ca rotate ${d.scope}`,
  })),
  'project-drift': warning((d: { readonly file: string; readonly steps: readonly string[] }) => ({
    sentence: `This machine is not as ${quotedPath(d.file)} says: ${d.steps.join('; ')}.`,
    command: 'rootling up',
  })),
  'daemon-down': warning((d: { readonly url: string | null; readonly count: number }) => ({
    sentence: `The daemon was started and does not run${d.url === null ? '' : `, and ${d.count === 1 ? 'a certificate names' : `${d.count} certificates name`} its OCSP and CRL at ${d.url}, which Windows' schannel requires`}.`,
    command: 'rootling daemon start',
  })),
  'port-held': error((d: { readonly where: string; readonly holder: string }) => ({
    sentence: `The daemon was installed with this port, and ${d.holder} listens on ${d.where}.`,
    remedy: 'End that program, then: rootling daemon install --ports',
  })),
  'port-not-listened': error((d: { readonly port: number; readonly unit: string }) => ({
    sentence: `The daemon was installed with port ${d.port}, and systemd does not listen there.`,
    command: `sudo systemctl restart ${d.unit}`,
  })),
  'daemon-without-port': error((d: { readonly port: number; readonly pid: number }) => ({
    sentence: `systemd listens on port ${d.port}, and the daemon (process ${d.pid}), which was started by hand, did not get that from it.`,
    command: 'rootling daemon stop && sudo systemctl start rootling.service',
  })),
  'ports-unit-stale': warning(
    (d: { readonly unit: string; readonly why: string; readonly command: string }) => ({
      sentence: `${d.unit} ${d.why}.`,
      command: d.command,
    }),
  ),

  // The environment.
  'variable-names-missing-file': error(
    (d: { readonly variable: string; readonly value: string; readonly programs: string }) => ({
      sentence: `${d.variable} names ${d.value}, which is not there, and ${d.programs} read it.`,
      command: `unset ${d.variable}`,
    }),
  ),
  'variable-replaces-roots': error(
    (d: {
      readonly variable: string
      readonly value: string
      readonly programs: string
      readonly only: boolean
      /** Whether no certificate can be read from it. */
      readonly empty: boolean
    }) => ({
      sentence: d.only
        ? `${d.variable} names ${d.value}, which holds local roots alone, so ${d.programs} trust no public site.`
        : d.empty
          ? `${d.variable} names ${d.value}, from which no certificate in PEM can be read, and ${d.programs} trust nothing else.`
          : `${d.variable} names ${d.value}, which lacks the root, and ${d.programs} trust nothing else.`,
      command: `unset ${d.variable}`,
    }),
  ),
  'java-options-replace-roots': error(
    (d: { readonly variable: string; readonly file: string; readonly reason: string }) => ({
      sentence: `${d.variable} makes Java trust nothing but ${quotedPath(d.file)}: ${d.reason}.`,
      remedy: `Take -Djavax.net.ssl.trustStore out of ${d.variable}, or add our root to that file with keytool -importcert. Its file: rootling ca path`,
    }),
  ),
  'variable-lacks-root': error(
    (d: {
      readonly variable: string
      readonly value: string
      readonly programs: string
      /** Whether no certificate can be read from it. */
      readonly empty: boolean
      readonly command: string
    }) => ({
      sentence: `${d.variable} names ${d.value}, ${d.empty ? 'from which no certificate in PEM can be read' : 'which lacks the root'}, so ${d.programs} do not trust the root by it.`,
      command: d.command,
    }),
  ),
  'config-replaces-roots': error(
    (d: {
      readonly file: string
      readonly setting: string
      readonly value: string
      readonly missing: boolean
      readonly program: string
    }) => ({
      sentence: `${d.setting} in ${quotedPath(d.file)} names ${d.value}, which ${d.missing ? 'is not there' : 'lacks the root'}, and ${d.program} trusts nothing else.`,
      remedy: `Take ${d.setting} out of ${quotedPath(d.file)}, or add the root to that file: rootling ca path`,
    }),
  ),
  'verification-off': warning(
    (d: { readonly what: string; readonly program: string; readonly remedy: string }) => ({
      sentence: `${d.what}, so ${d.program} takes any certificate from anyone.`,
      remedy: d.remedy,
    }),
  ),
  'proxy-in-the-way': warning((d: { readonly sentence: string; readonly remedy: string }) => d),
  'runtime-ignores-store': warning(
    (d: { readonly runtime: string; readonly said: string; readonly remedy: string }) => ({
      sentence: `${d.runtime} does not trust the root: ${d.said}`,
      remedy: d.remedy,
    }),
  ),
  'hsts-on-localhost': warning(
    (d: {
      readonly host: string
      readonly browser: string
      readonly file: string
      readonly remedy: string
    }) => ({
      sentence: `${d.browser} remembers for ${d.host} that only https may be used (HSTS, in ${quotedPath(d.file)}), on every port.`,
      remedy: d.remedy,
    }),
  ),
  'stale-root': warning(
    (d: {
      readonly root: string
      readonly stores: string
      readonly why: string
      readonly command: string
    }) => ({
      sentence: `${d.stores} still ${d.stores.includes(', ') ? 'trust' : 'trusts'} ${d.root}: ${d.why}.`,
      command: d.command,
    }),
  ),

  // Good to know.
  'other-side-of-wsl': note(() => ({
    sentence: 'This is WSL, and the stores of the Windows around it cannot be reached from here.',
    remedy: 'Install Rootling on Windows too, and trust the root of rootling ca path there',
  })),
  'restart-browser': note((d: { readonly browser: string; readonly process: number }) => ({
    sentence: `${d.browser} (process ${d.process}) runs since before the root was installed, and may refuse what it refused then.`,
    remedy: 'Close all its windows and start it again',
  })),
  'root-of-another-user': note(
    (d: {
      readonly root: string
      readonly stores: string
      readonly command: string
      /** Whether an authority of that user was found, or one may be there that cannot be read. */
      readonly owned: boolean
    }) => ({
      sentence: `${d.stores} ${d.stores.includes(', ') ? 'trust' : 'trusts'} ${d.root}, which is constrained and in force and of no authority of yours: ${d.owned ? 'another user of this machine has it' : 'it may be of another user of this machine'}.`,
      remedy: `Leave it, unless nobody uses it any more; then: ${d.command}`,
    }),
  ),
  'unconstrained-root': note(
    (d: { readonly root: string; readonly stores: string; readonly remedy: string }) => ({
      sentence: `${d.root} in ${d.stores} is unconstrained: who has its key can impersonate any site.`,
      remedy: d.remedy,
    }),
  ),
} as const

export type Code = keyof typeof codes

type Details<C extends Code> = Parameters<(typeof codes)[C]['say']>[0]

/** What `--fix` does about a finding, by the function that the command in its remedy calls. */
export type Fix =
  | { readonly action: 'install' }
  | { readonly action: 'renew'; readonly serialNumber: string }
  | { readonly action: 'chmod'; readonly path: string; readonly mode: number }

export interface Finding {
  readonly code: Code
  /** What the finding is about, such as a store, a file, a variable or a URL. */
  readonly subject: string
  readonly severity: Severity
  readonly sentence: string
  /** What to do: the command, where one helps. */
  readonly remedy: string
  readonly command?: string
  /** What `--fix` does; absent: only a person can do it. */
  readonly fix?: Fix
}

/** A finding as `--json` prints it and the library returns it. */
export interface FindingInJson extends Omit<Finding, 'fix'> {
  /** Whether `rootling doctor --fix` mends it. */
  readonly safe: boolean
}

/** Returns a finding as `--json` prints it; `complete` completes its command. */
export function findingInJson(
  { fix, command, ...rest }: Finding,
  complete: (text: string) => string,
): FindingInJson {
  const completed = command === undefined ? {} : { command: complete(command) }
  return { ...rest, ...completed, safe: fix !== undefined }
}

/** Makes a finding from the facts that its sentence needs. */
export function finding<C extends Code>(
  code: C,
  subject: string,
  details: Details<C>,
  fix?: Fix,
): Finding {
  const { severity, say } = codes[code]
  const { sentence, command, remedy } = (say as (all: Details<C>) => Words)(details)
  return {
    code,
    subject,
    severity,
    sentence,
    remedy: command ?? remedy ?? '',
    ...(command === undefined ? {} : { command }),
    ...(fix === undefined ? {} : { fix }),
  }
}

const ranks = new Map(Object.keys(codes).map((code, index) => [code, index]))
const severities: readonly Severity[] = ['error', 'warning', 'note']

/** Returns findings in the order in which a person should see to them. */
export const inOrder = (findings: readonly Finding[]): Finding[] =>
  findings.toSorted(
    (a, b) =>
      severities.indexOf(a.severity) - severities.indexOf(b.severity) ||
      (ranks.get(a.code) ?? 0) - (ranks.get(b.code) ?? 0),
  )
