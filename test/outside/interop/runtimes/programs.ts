import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { buildGo } from '../../../helpers/go-program.ts'
import { buildJava } from '../../../helpers/java-program.ts'
import { npmPackage, npmProgram } from '../../../helpers/npm-program.ts'
import { pipPackage } from '../../../helpers/pip-packages.ts'
import { temporaryDirectory } from '../../../helpers/temporary.ts'
import { hasTool, runTool } from '../../../helpers/tools.ts'

/** A program that fetches a URL by itself, and what it trusts. */
export interface Runtime {
  readonly name: string
  /** Whether it trusts what is in the system store only. */
  readonly store: boolean
  /** Whether it trusts our root, in no store, as a child of `rootling run`. */
  readonly run: boolean
  /** Whether it trusts, as that child, what others put into the system store only. */
  readonly storeByRun: boolean
  /** How it fetches `https://localhost:PORT/`; `null`: it is not on this machine. */
  readonly fetch: ((port: number) => readonly string[]) | null
  /** Why it is not on this machine. */
  readonly missing: string | null
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
}

const url = (port: number): string => `https://localhost:${port}/`

interface Row {
  readonly name: string
  readonly trust: readonly [store: boolean, run: boolean, storeByRun: boolean]
  readonly program: string | null
  readonly missing?: string | null
  readonly args: (port: number) => readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
}

/** What most do: they trust the store, and by `run` ours too. */
const both = [true, true, true] as const
/** What only the store helps. */
const storeOnly = [true, false, true] as const

const fetchByNode = 'fetch(process.argv.at(-1)).then((r) => r.text())'

// Clients of gRPC: they send their first octets once they trust the server.
const connectByGrpcJs = `const grpc = require('@grpc/grpc-js')
new grpc.Client('localhost:' + process.argv.at(-1), grpc.credentials.createSsl())
  .waitForReady(Date.now() + 2000, () => process.exit())`
const connectByGrpcio = `import sys, grpc
channel = grpc.secure_channel('localhost:' + sys.argv[1], grpc.ssl_channel_credentials())
grpc.channel_ready_future(channel).result(timeout=2)`

/** Every program of the table of docs/runtimes.md. */
export async function findRuntimes(): Promise<Runtime[]> {
  const directory = await temporaryDirectory()
  const rows: Row[] = []
  const has = async (program: string, ...check: string[]): Promise<string | null> => {
    if (!(await hasTool(program))) return null
    return check.length === 0 || (await runTool(program, check)).exitCode === 0 ? program : null
  }
  const own = Number(process.versions.node.split('.')[0])
  for (const major of [20, 22, 24, 26]) {
    const spec = `node-${process.platform}-${process.arch}@${major}`
    const found =
      own === major
        ? { program: process.execPath, missing: null }
        : await npmProgram(spec, 'bin/node', `rootling-node${major}`)
    rows.push({
      name: `Node ${major}`,
      trust: [false, true, major > 20],
      ...found,
      args: (port) => ['-e', fetchByNode, url(port)],
    })
  }
  const deno = await npmProgram('@deno/linux-x64-glibc@2', 'deno', 'rootling-deno')
  const bun = await npmProgram('@oven/bun-linux-x64@1', 'bin/bun', 'rootling-bun')
  rows.push(
    {
      name: 'npm',
      trust: [false, true, own > 20],
      program: await has('npm'),
      // The machine's own configuration may turn the check off, or name roots.
      args: (port) => [
        ...['ping', '--registry', url(port), '--fetch-retries=0'],
        ...['--strict-ssl', '--globalconfig=/no/npmrc'],
      ],
    },
    {
      name: 'Deno',
      trust: [false, true, true],
      ...deno,
      args: (port) => ['eval', 'await fetch(Deno.args.at(-1))', url(port)],
      env: { DENO_NO_UPDATE_CHECK: '1', DENO_DIR: join(directory, 'deno') },
    },
    { name: 'Bun', trust: both, ...bun, args: (port) => ['-e', fetchByNode, url(port)] },
  )
  const grpcJs = await npmPackage('@grpc/grpc-js@1', 'rootling-grpc-js')
  rows.push({
    name: '@grpc/grpc-js',
    trust: [false, true, true],
    program: grpcJs.directory === null ? null : process.execPath,
    missing: grpcJs.missing,
    args: (port) => ['-e', connectByGrpcJs, String(port)],
    env: { NODE_PATH: join(grpcJs.directory ?? '', 'node_modules') },
  })
  const python =
    (name: string, script: string, ...check: string[]) =>
    async (): Promise<Row> => ({
      name,
      trust: both,
      program: await has('/usr/bin/python3', '-c', check.join('') || '0'),
      args: (port) => ['-c', script, url(port)],
    })
  /** A package as PyPI has it; Debian's reads the system store instead of certifi. */
  const ofPyPI = async (name: 'requests' | 'httpx'): Promise<Row> => {
    const { directory: packages, missing } = await pipPackage(name)
    return {
      name: `${name} of PyPI`,
      trust: [false, true, true],
      program: packages === null ? null : '/usr/bin/python3',
      missing,
      args: (port) => ['-c', `import sys, ${name}; ${name}.get(sys.argv[1])`, url(port)],
      env: { PYTHONPATH: packages ?? '' },
    }
  }
  const grpcio = await pipPackage('grpcio', 'grpc')
  rows.push(
    await ofPyPI('requests'),
    await ofPyPI('httpx'),
    {
      name: 'grpcio of PyPI',
      trust: [false, true, true],
      program: grpcio.directory === null ? null : '/usr/bin/python3',
      missing: grpcio.missing,
      args: (port) => ['-c', connectByGrpcio, String(port)],
      env: { PYTHONPATH: grpcio.directory ?? '' },
    },
    await python('Python urllib', 'import sys, urllib.request as r; r.urlopen(sys.argv[1])')(),
    await python(
      'requests of Debian',
      'import sys, requests; requests.get(sys.argv[1])',
      'import requests',
    )(),
    await python('httpx', 'import sys, httpx; httpx.get(sys.argv[1])', 'import httpx')(),
    {
      name: 'pip',
      trust: both,
      program: await has('/usr/bin/python3', '-m', 'pip', '--version'),
      args: (port) => {
        const flags = ['--no-deps', '--retries=0', '--disable-pip-version-check', '--index-url']
        return ['-m', 'pip', 'download', ...flags, url(port), 'nothing']
      },
    },
    {
      name: 'Ruby',
      trust: both,
      program: await has('ruby'),
      args: (port) => ['-ropen-uri', '-e', 'URI.parse(ARGV[0]).open', url(port)],
    },
    {
      name: 'PHP streams',
      trust: both,
      program: await has('php'),
      args: (port) => ['-r', 'file_get_contents($argv[1]);', url(port)],
    },
    {
      name: 'PHP curl',
      trust: storeOnly,
      program: await has('php', '-r', 'exit(function_exists("curl_init") ? 0 : 1);'),
      args: (port) => ['-r', 'curl_exec(curl_init($argv[1]));', url(port)],
    },
    {
      name: 'Perl LWP',
      trust: both,
      program: await has('perl', '-MLWP::Protocol::https', '-e', '1'),
      args: (port) => ['-MLWP::UserAgent', '-e', 'LWP::UserAgent->new->get(shift)', url(port)],
    },
    {
      name: 'OpenSSL',
      trust: both,
      program: await has('openssl'),
      args: (port) => [
        ...['s_client', '-quiet', '-verify_return_error', '-verify_hostname', 'localhost'],
        ...['-connect', `localhost:${port}`],
      ],
      input: 'GET / HTTP/1.0\r\n\r\n',
    },
    {
      name: 'git',
      trust: both,
      program: await has('git'),
      args: (port) => ['ls-remote', `${url(port)}x.git`],
    },
    { name: 'curl', trust: both, program: await has('curl'), args: (port) => ['-s', url(port)] },
    {
      name: 'wget',
      trust: storeOnly,
      program: await has('wget'),
      args: (port) => ['-q', '--tries=1', '-O', '-', url(port)],
    },
    {
      name: 'Go',
      trust: both,
      program: (await has('go'))
        ? await buildGo(join(import.meta.dirname, 'fetch.go'), directory)
        : null,
      args: (port) => [url(port)],
    },
    {
      name: 'redis-cli',
      trust: both,
      program: await has('redis-cli'),
      args: (port) => ['--tls', '-h', 'localhost', '-p', String(port), 'ping'],
    },
    {
      name: 'psql',
      trust: [false, true, true],
      program: await has('psql'),
      args: (port) => [`host=localhost port=${port} user=x dbname=x connect_timeout=20`, '-c', ''],
      env: { PGSSLMODE: 'verify-full' },
    },
  )
  const java = '/usr/bin/java'
  const built = (await hasTool('javac'))
    ? await buildJava(join(import.meta.dirname, 'Fetch.java'), java)
    : null
  rows.push({
    name: 'Java',
    trust: storeOnly,
    program: built === null ? null : java,
    args: (port) => [...(built ?? []), url(port)],
  })
  const cargo = [join(homedir(), '.cargo/bin/cargo'), '/usr/bin/cargo'].find(existsSync) ?? null
  rows.push({
    name: 'cargo',
    trust: both,
    program: cargo,
    args: (port) => ['search', '--index', `sparse+${url(port)}`, 'nothing'],
    env: {
      RUSTUP_HOME: process.env['RUSTUP_HOME'] ?? join(homedir(), '.rustup'),
      CARGO_HOME: join(directory, 'cargo'),
      CARGO_NET_RETRY: '0',
    },
  })
  return rows.map(({ name, trust: [store, run, storeByRun], program, args, missing, ...rest }) => ({
    name,
    store,
    run,
    storeByRun,
    missing: program === null ? (missing ?? 'it is not installed') : null,
    fetch: program === null ? null : (port) => [program, ...args(port)],
    ...rest,
  }))
}
