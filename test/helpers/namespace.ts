import { spawnSync } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { readJks, writeJks } from '../../platform/java/jks.ts'
import { project } from './built.ts'
import { scrubbedEnvironment } from './scrubbed.ts'
import { killGroup, run, start } from './subprocess.ts'
import type { Finished, RunOptions } from './subprocess.ts'
import { readTree } from './tree.ts'
import type { Tree } from './tree.ts'

/**
 * A private copy of this machine. It has the same programs and, unless asked otherwise, the same
 * loopback, but every directory with a trust store in it is an overlay, and HOME is empty. What is
 * written inside is seen only inside, and is gone after `close`.
 */
export interface Namespace {
  /**
   * The home directory, empty at first, which /etc/passwd also names for root. It exists only
   * inside.
   */
  readonly home: string
  /**
   * Runs a program inside, in the scrubbed environment plus `env`; see `run` of subprocess.ts. The
   * program starts in `/`. Its standard streams are sockets, so it cannot open /dev/stdin.
   */
  run(program: string, args: readonly string[], options?: RunOptions): Promise<Finished>
  /**
   * Runs a program as `run` does. Throws, with what the program printed, when it does not exit with
   * 0.
   */
  must(program: string, args: readonly string[], options?: RunOptions): Promise<Finished>
  /** Starts a program inside and leaves it running. `killGroup` and `close` end it. */
  spawn(
    program: string,
    args: readonly string[],
    options?: Pick<RunOptions, 'env'>,
  ): ChildProcessWithoutNullStreams
  /** Lists a file, or a directory with everything below it. An absent path is an empty tree. */
  readTree(path: string): Promise<Tree>
  /** Reads a text file; `null`: there is none. */
  readFile(path: string): Promise<string | null>
  /** Writes a text file with mode 0644, and creates its directory. */
  writeFile(path: string, text: string): Promise<void>
  /**
   * Adds a line to /etc/hosts, for the many clients that do not resolve such names by themselves.
   */
  addHost(name: string, address: string): Promise<void>
  /** Ends every process inside; the mounts end with the last one. */
  close(): Promise<void>
}

// The directories in which the tools of the trust stores write. /var/lib is among them because
// Debian's Java hook goes through dpkg's triggers.
const overlaid = ['/etc', '/usr/local/share', '/usr/share', '/usr/lib/jvm', '/var/lib', '/var/log']

const systemRoots = '/etc/ca-certificates.conf'
const javaKeystore = '/etc/ssl/certs/java/cacerts'

// The script opens the namespace. It reads the process ID from the host's /proc, before the
// namespace has its own, because nsenter needs the host's number. A container mounts hosts and
// resolv.conf over /etc, and an overlay does not see through mounts, so the script copies their
// text; a link is left as it is, because writing through it would reach the host. /tmp is private
// too where the test run has a temporary directory of its own in it: programs that root runs, and are
// killed, leave files in /tmp whatever TMPDIR is. The last line waits for the end of standard input:
// if the test run dies, the namespace ends too.
const openingScript = `
set -eu
read -r pid rest < /proc/self/stat
scratch=$1; roots=$2; keystore=$3; temporary=$4; project=$5; node=$6; shift 6
mount -t proc proc /proc
mount -t tmpfs -o mode=0755 tmpfs "$scratch"
mkdir -p "$scratch/home" "$scratch/tmp" "$scratch/kept"
for name in hosts resolv.conf hostname; do
  if mountpoint -q "/etc/$name"; then cat "/etc/$name" > "$scratch/kept/$name"; fi
done
number=0
for directory; do
  [ -d "$directory" ] || continue
  number=$((number + 1))
  layer="$scratch/layer/$number"
  mkdir -p "$layer/upper" "$layer/work"
  mount -t overlay overlay \
    -o "lowerdir=$directory,upperdir=$layer/upper,workdir=$layer/work" "$directory"
done
for file in "$scratch"/kept/*; do
  if [ -f "$file" ]; then cat "$file" > "/etc/\${file##*/}"; fi
done
awk -F: -v OFS=: -v home="$scratch/home" '$3 == 0 { $6 = home } 1' /etc/passwd > "$scratch/passwd"
cat "$scratch/passwd" > /etc/passwd
if [ "$roots" = few ] && [ -s ${systemRoots} ]; then
  grep '^mozilla/' ${systemRoots} | head -n 5 > "$scratch/roots"
  cat "$scratch/roots" > ${systemRoots}
  sed 's,^,/usr/share/ca-certificates/,' "$scratch/roots" > "$scratch/trusted"
  find -L /usr/local/share/ca-certificates -type f -name '*.crt' | sort >> "$scratch/trusted"
  cd /etc/ssl/certs
  find . -maxdepth 1 -type l -delete
  : > ca-certificates.crt
  while read -r file; do
    link=\${file##*/}
    ln -sf "$file" "\${link%.crt}.pem"
    cat "$file" >> ca-certificates.crt
  done < "$scratch/trusted"
  openssl rehash . > /dev/null
  cd /
  if [ -n "$keystore" ]; then
    printf %s "$keystore" | base64 -d > "$scratch/keystore"
    cat "$scratch/keystore" > ${javaKeystore}
  fi
fi
case $temporary in
  /tmp/*)
    own="$scratch/own"
    mkdir -m 1777 "$own"
    mount -t tmpfs -o mode=1777 tmpfs "$own"
    for directory in "$temporary" "$project" "$node"; do
      case $directory in
        /tmp/*)
          mkdir -p "$own/\${directory#/tmp/}"
          mount --rbind "$directory" "$own/\${directory#/tmp/}"
      esac
    done
    mount --move "$own" /tmp
esac
echo "$pid"
read -r rest || true
`

/**
 * How many public roots the system store and Debian's Java keystore of a namespace hold. `few`:
 * five, since Debian's update-ca-certificates starts several programs for each of them, and Java
 * parses each; that takes most of the time of an installation. `all`: those of this machine.
 */
type PublicRoots = 'few' | 'all'

/**
 * Returns Debian's Java keystore without the public roots that the opening script takes out of the
 * system store, in base64; empty where there is no such keystore, or in another format than JKS.
 */
function keystoreOfFew(): string {
  if (!existsSync(javaKeystore) || !existsSync(systemRoots)) return ''
  const names = readFileSync(systemRoots, 'utf8').split('\n')
  const aliases = names
    .filter((name) => name.startsWith('mozilla/'))
    .map((name) => `debian:${basename(name, '.crt').toLowerCase()}.pem`)
  const dropped = new Set(aliases.slice(5))
  const entries = readJks(readFileSync(javaKeystore), 'changeit')
  if (entries === null) return ''
  const kept = entries.filter(({ alias }) => !dropped.has(alias))
  return writeJks(kept, 'changeit').toString('base64')
}

function openingArguments(
  scratch: string,
  publicRoots: PublicRoots,
  ownLoopback = false,
): string[] {
  const flags = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child']
  const script = ownLoopback ? `set -e\nip link set lo up${openingScript}` : openingScript
  const net = ownLoopback ? ['--net'] : []
  const keystore = publicRoots === 'few' ? keystoreOfFew() : ''
  const kept = [tmpdir(), project, dirname(process.execPath)]
  const given = [scratch, publicRoots, keystore, ...kept, ...overlaid]
  return [...flags, ...net, 'sh', '-c', script, 'sh', ...given]
}

/**
 * Returns why this machine cannot open a namespace, in words for the title of a skipped test;
 * `null`: it can. Opens a namespace and closes it to find out.
 */
export function namespaceUnavailable(): string | null {
  if (process.platform !== 'linux') return 'mount namespaces exist only on Linux'
  if (process.getuid?.() !== 0) return 'only root may overlay /etc in a mount namespace'
  const scratch = mkdtempSync(join(tmpdir(), 'rootling-e2e-'))
  try {
    const env = scrubbedEnvironment(scratch)
    const trial = spawnSync('unshare', openingArguments(scratch, 'all'), { env, encoding: 'utf8' })
    if (trial.error) return `unshare could not be started: ${trial.error.message}`
    return trial.status === 0 ? null : `no private mounts here: ${trial.stderr.trim()}`
  } finally {
    rmdirSync(scratch)
  }
}

export interface NamespaceOptions {
  /** Whether it has a network of its own; default: it has this machine's. */
  readonly ownLoopback?: boolean
  /** Default `few`. */
  readonly publicRoots?: PublicRoots
}

/**
 * Opens a namespace, which must be closed when done. Throws when `namespaceUnavailable` returns a
 * reason. With `ownLoopback`, all ports of its loopback are free, also 80 and 443, and it has no
 * other network; needs the program `ip`.
 */
export async function openNamespace({
  ownLoopback = false,
  publicRoots = 'few',
}: NamespaceOptions = {}): Promise<Namespace> {
  const scratch = mkdtempSync(join(tmpdir(), 'rootling-e2e-'))
  const keeper = start(
    'unshare',
    openingArguments(scratch, publicRoots, ownLoopback),
    scrubbedEnvironment(scratch),
  )
  const closed = once(keeper, 'close')
  const pid = await firstLine(keeper)
  const home = join(scratch, 'home')
  const environment = (extra: RunOptions['env'] = {}) =>
    scrubbedEnvironment(home, { TMPDIR: join(scratch, 'tmp'), ...extra })
  const entry = ['--target', pid, '--mount', '--pid', ...(ownLoopback ? ['--net'] : []), '--']
  const inside = (program: string, args: readonly string[]) => [...entry, program, ...args]

  const namespace: Namespace = {
    home,
    run: (program, args, { env, ...options } = {}) =>
      run('nsenter', inside(program, args), environment(env), options),
    async must(program, args, options) {
      const finished = await namespace.run(program, args, options)
      if (finished.exitCode === 0) return finished
      const said = `${finished.stdout}${finished.stderr}`
      throw new Error(`${program} ${args.join(' ')} exited with ${finished.exitCode}: ${said}`)
    },
    spawn: (program, args, { env } = {}) =>
      start('nsenter', inside(program, args), environment(env)),
    readTree: (path) => readTree((program, args) => namespace.run(program, args), path),
    async readFile(path) {
      const script = 'if [ -e "$1" ]; then cat "$1"; else exit 44; fi'
      const { exitCode, stdout, stderr } = await namespace.run('sh', ['-c', script, 'sh', path])
      if (exitCode === 44) return null
      if (exitCode !== 0) throw new Error(`could not read ${path}: ${stderr}`)
      return stdout
    },
    async writeFile(path, text) {
      const script = 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod 0644 "$1"'
      await namespace.must('sh', ['-c', script, 'sh', path], { input: text })
    },
    async addHost(name, address) {
      const script = 'echo "$2 $1" >> /etc/hosts'
      await namespace.must('sh', ['-c', script, 'sh', name, address])
    },
    async close() {
      keeper.stdin.end()
      await closed
      if (existsSync(scratch)) rmdirSync(scratch)
    },
  }
  return namespace
}

/** Returns the process ID that the opening script prints once everything is mounted. */
async function firstLine(keeper: ChildProcessWithoutNullStreams): Promise<string> {
  let stderr = ''
  keeper.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const failed = once(keeper, 'close').then(() => null)
  const printed = once(keeper.stdout.setEncoding('utf8'), 'data').then(([text]) => String(text))
  const line = await Promise.race([printed, failed])
  if (line !== null) return line.trim()
  killGroup(keeper)
  throw new Error(`the namespace could not be opened: ${stderr.trim()}`)
}
