import { constants, createReadStream, type Stats } from 'node:fs'
import { open, opendir, readlink, realpath, stat, type FileHandle } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { dirname, join, relative, sep } from 'node:path'
import type { SendStream } from 'send'
import { hasCode } from '../files/errors.ts'
import { leadsTo } from '../files/same-file.ts'
import type { Request, Response } from '../server/http.ts'
import { isStateDirectory } from '../storage/files/scopes.ts'

/**
 * Answers with the file under `directory` that the path names: index.html for a folder, ranges,
 * ETags, MIME types. Returns `false`, and sends nothing, when there is no such file, or it is a
 * dotfile other than `/.well-known/` (RFC 8615), not a regular file, or outside the directory by any spelling or symbolic link, or when it
 * belongs to an authority or holds a private key in PEM. The method is not checked here.
 */
export async function sendFile(
  request: Request,
  response: Response,
  directory: string,
): Promise<boolean> {
  const [path, query] = splitOnce(request.url ?? '')
  const segments = pathSegments(path)
  if (segments === null) return false
  const root = await realpath(directory)
  const wantsFolder = path.endsWith('/')
  const found = await locate(root, segments)
  if (found === null) return false
  if (found.kind === 'file')
    return wantsFolder ? false : sendBelow(request, response, root, found.path)
  if (wantsFolder) {
    const index = await locate(root, [...segments, 'index.html'])
    return index?.kind === 'file' ? sendBelow(request, response, root, index.path) : false
  }
  response.statusCode = 301
  // Built from the checked segments, so that it cannot become `//elsewhere.example/`.
  const location = `/${segments.map(encodeURIComponent).join('/')}/`
  response.setHeader('Location', query === undefined ? location : `${location}?${query}`)
  response.setHeader('Content-Length', 0)
  response.end()
  return true
}

/** The one folder that is served although its name begins with a dot (RFC 8615). */
const wellKnown = '.well-known'

/**
 * Returns the decoded segments of a URL path; `null` if a segment could mean something else to a
 * file system.
 */
export function pathSegments(path: string): string[] | null {
  if (!path.startsWith('/')) return null
  const raw = path.slice(1).split('/')
  if (raw.at(-1) === '') raw.pop()
  const segments: string[] = []
  for (const part of raw) {
    const segment = decode(part)
    // Refuses dotfiles, `.` and `..`; separators; controls including NUL; drives and streams of
    // Windows.
    if (segment === null || segment === '') return null
    if (segment.startsWith('.') && !(segments.length === 0 && segment === wellKnown)) return null
    if (/[/\\\p{Cc}]/u.test(segment)) return null
    if (process.platform === 'win32' && /:|[. ]$/.test(segment)) return null
    segments.push(segment)
  }
  return segments
}

interface Found {
  readonly kind: 'file' | 'folder'
  /** The real path below the root, without symbolic links. */
  readonly path: string
}

async function locate(root: string, segments: readonly string[]): Promise<Found | null> {
  try {
    const path = await realpath(join(root, ...segments))
    if (!isServed(root, path) || (await isInState(path))) return null
    const status = await stat(path)
    if (status.isFile()) return { kind: 'file', path }
    return status.isDirectory() ? { kind: 'folder', path } : null
  } catch {
    return null
  }
}

/**
 * Whether a real path lies below the root and leads through no dotfile but `.well-known`. A symbolic link may have
 * led to `..`, to another drive, or to a dotfile.
 */
function isServed(root: string, path: string): boolean {
  if (path !== root && !path.startsWith(root.endsWith(sep) ? root : root + sep)) return false
  return !relative(root, path)
    .split(sep)
    .some((step, i) => step.startsWith('.') && !(i === 0 && step === wellKnown))
}

/** Whether a real path is, or lies below, the state directory of an authority. */
async function isInState(path: string): Promise<boolean> {
  if (await isStateDirectory(path)) return true
  return path === dirname(path) ? false : isInState(dirname(path))
}

/** What is served in a folder. */
export interface Listing {
  /** The folder's path below the root. */
  readonly segments: readonly string[]
  /** The names, sorted; that of a folder ends in a slash. */
  readonly entries: readonly string[]
  /** Whether there are more entries than a listing has. */
  readonly cut: boolean
}

/** Each entry is opened, so that a listing has only what is served. */
const mostEntries = 1_000

/**
 * Lists the folder under `directory` that a URL path with a slash at its end names. Returns `null`
 * when there is no such folder, or `sendFile` would send nothing from it. A listing has no file that
 * `sendFile` would not send.
 */
export async function listFolder(url: string, directory: string): Promise<Listing | null> {
  const [path] = splitOnce(url)
  const segments = pathSegments(path)
  if (segments === null || !path.endsWith('/')) return null
  const root = await realpath(directory)
  const folder = await locate(root, segments)
  if (folder?.kind !== 'folder') return null
  const names = await namesIn(root, folder.path)
  if (names === null) return null
  const entries: string[] = []
  for (const name of names.slice(0, mostEntries).toSorted()) {
    const within = pathSegments(`/${[...segments, name].map(encodeURIComponent).join('/')}`)
    const found = within === null ? null : await locate(root, within)
    if (found?.kind === 'folder') entries.push(`${name}/`)
    else if (found !== null && (await isSent(root, found.path))) entries.push(name)
  }
  return { segments, entries, cut: names.length > mostEntries }
}

async function isSent(root: string, path: string): Promise<boolean> {
  const opened = await openBelow(root, path).catch(() => null)
  await opened?.file.close()
  return opened !== null
}

/**
 * Returns the names in a folder, at most one more than a listing has; `null`: by now, another folder
 * outside the root is at its path.
 */
async function namesIn(root: string, path: string): Promise<string[] | null> {
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
  const folder = await open(path, flags).catch(() => null)
  if (folder === null) return null
  try {
    const stats = await folder.stat()
    if (!stats.isDirectory() || !(await liesBelow(root, path, folder))) return null
    // Linux lists the folder that is open, whatever is at its path by now.
    const names = await readNames(
      process.platform === 'linux' ? `/proc/self/fd/${folder.fd}` : path,
    )
    return (await liesBelow(root, path, folder)) ? names : null
  } catch {
    return null
  } finally {
    await folder.close()
  }
}

async function readNames(path: string): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of await opendir(path)) {
    // A lone surrogate, which a name can have on Windows, has no form in a URL.
    if (!/\p{Cs}/u.test(name)) names.push(name)
    if (names.length > mostEntries) break
  }
  return names
}

interface OpenFile {
  readonly file: FileHandle
  readonly stats: Stats
}

async function sendBelow(
  request: Request,
  response: Response,
  root: string,
  path: string,
): Promise<boolean> {
  const opened = await openBelow(root, path)
  if (opened === null) return false
  try {
    await stream(request, response, opened, relative(root, path))
  } finally {
    await opened.file.close()
  }
  return true
}

/**
 * Opens a file, then checks that the open file lies below the root, since somebody may have swapped
 * in a link after the path was checked. Returns `null` when the file lies elsewhere, is gone, is not
 * a regular file, or holds a private key.
 */
async function openBelow(root: string, path: string): Promise<OpenFile | null> {
  // O_NONBLOCK keeps the opening of a pipe from waiting for a writer. Windows has neither flag.
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
  let file: FileHandle
  try {
    file = await open(path, flags)
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'EACCES')) return null
    throw error
  }
  try {
    const stats = await file.stat()
    const servable = stats.isFile() && (await liesBelow(root, path, file))
    if (servable && !keyStores.test(path) && !(await holdsKey(file, stats))) return { file, stats }
  } catch (error) {
    await file.close()
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return null
    throw error
  }
  await file.close()
  return null
}

/** The names of files that hold keys in other forms than PEM, often under a known password. */
const keyStores = /\.(?:p12|pfx|jks|keystore|ppk|(?:key|password)(?:\.\w{1,4})?)$/i

/** In octets. The file of a chain and its key, or of a service account, is far smaller. */
const longestPem = 64 * 1024

/**
 * Whether a file holds a private key in PEM within its first part, as certificates and keys often lie
 * together: on a line of its own, behind any text but HTML, or in JSON.
 */
async function holdsKey(file: FileHandle, { size }: Stats): Promise<boolean> {
  const length = Math.min(size, longestPem)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0)
  // Without the marks and zeros of UTF-8 and UTF-16.
  const text = buffer.toString('latin1', 0, bytesRead).replaceAll(/[\0\xbb\xbf\xef\xfe\xff]/g, '')
  return (
    (!/^\s*</.test(text) && /^[ \t]*-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----/m.test(text)) ||
    (/^\s*\{/.test(text) && /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text))
  )
}

/** Whether an open file lies below the root. Throws `ENOENT` when its path is gone. */
async function liesBelow(root: string, path: string, file: FileHandle): Promise<boolean> {
  // Linux knows the path of every open file, whatever happens at the path that it was opened by.
  if (process.platform === 'linux')
    return isServed(root, await readlink(`/proc/self/fd/${file.fd}`))
  // Other systems tell no path of an open file, so the path is looked at twice. Somebody who swaps
  // a link in and out between all of these looks still wins.
  for (let look = 0; look < 2; look++) {
    const real = await realpath(path)
    if (!isServed(root, real) || !leadsTo(real, file.fd)) return false
  }
  return true
}

/** Sends an open file, or an error for a bad range. Resolves when the response is closed. */
async function stream(
  request: Request,
  response: Response,
  { file, stats }: OpenFile,
  name: string,
): Promise<void> {
  const { default: send } = await import('send')
  // The client may have hung up since the file was opened; no event would tell so any more.
  if ('stream' in response ? response.stream.destroyed : response.destroyed) return
  response.setHeader('X-Content-Type-Options', 'nosniff')
  const sender: Sender = send(request, '')
  // send is written for node:http; the compatible classes of node:http2 have all that it uses.
  sender.res = response as ServerResponse
  // Sends the file that is open, even if another one is at its path by now.
  sender.stream = (_path, options) => {
    const contents = createReadStream('', { ...options, fd: file })
    contents.on('error', () => response.destroy())
    response.once('close', () => contents.destroy())
    contents.pipe(response as ServerResponse)
  }
  await new Promise<void>((resolve) => {
    response.once('close', resolve)
    sender.on('error', (error: SendError) => refuse(response, error))
    sender.send(name, stats)
  })
}

/**
 * The members of send's stream that its types leave out: `send` and `stream` are public, `res` is
 * set by `pipe`.
 */
interface Sender extends SendStream {
  res?: ServerResponse
}

interface SendError extends Error {
  readonly status?: number
  readonly headers?: Record<string, string>
}

function refuse(response: Response, error: SendError): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  response.statusCode = error.status ?? 500
  for (const [name, value] of Object.entries(error.headers ?? {})) response.setHeader(name, value)
  response.setHeader('Content-Type', 'text/plain; charset=utf-8')
  response.end('This file cannot be sent as asked.\n')
}

function decode(part: string): string | null {
  try {
    return decodeURIComponent(part)
  } catch {
    return null
  }
}

function splitOnce(url: string): [string, string | undefined] {
  const mark = url.indexOf('?')
  return mark === -1 ? [url, undefined] : [url.slice(0, mark), url.slice(mark + 1)]
}
