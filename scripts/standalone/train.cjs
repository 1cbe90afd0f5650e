// Runs a command from the parts of an executable as its loader would, and keeps in the directory
// what V8 compiled from each part, so that the next run begins with it. It runs before the
// executable is written, in the Node that the executable will hold:
//   node --no-rehash-snapshot FLAGS train.cjs DIRECTORY COMMAND...
'use strict'
const { readdirSync, readFileSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { setFlagsFromString } = require('node:v8')
const { Script } = require('node:vm')

// With --no-rehash-snapshot every process hashes strings alike, so that two builds give the same
// octets. V8 compares the flags of compiled code with those of the process that reads it, where this
// one has its default.
setFlagsFromString('--rehash-snapshot')

const [, , directory, ...words] = process.argv
process.argv = [process.execPath, process.execPath, ...words]
const scripts = new Map()
const loaded = new Map()

function compile(name) {
  const known = scripts.get(name)
  if (known !== undefined) return known
  const source = readFileSync(join(directory, name), 'latin1')
  const cachedData = read(`${name}.code`)
  const script = new Script(source, { filename: `/${name}`, cachedData })
  if (script.cachedDataRejected === true) throw new Error(`V8 refuses its own code of ${name}`)
  scripts.set(name, script)
  return script
}

function load(name) {
  const known = loaded.get(name)
  if (known !== undefined) return known.exports
  const part = { exports: {} }
  loaded.set(name, part)
  const run = compile(name).runInThisContext()
  run.call(part.exports, part.exports, requirePart, part, `/${name}`, '/')
  return part.exports
}

function requirePart(id) {
  return id.startsWith('./') ? load(id.slice(id.lastIndexOf('/') + 1)) : require(id)
}

function read(name) {
  try {
    return readFileSync(join(directory, name))
  } catch {
    return undefined
  }
}

process.on('exit', () => {
  for (const [name, script] of scripts)
    writeFileSync(join(directory, `${name}.code`), script.createCachedData())
})

// Without a command, every part is compiled, and none is run.
if (words.length > 0) load('rootling.cjs')
else for (const name of readdirSync(directory)) if (name.endsWith('.cjs')) compile(name)
