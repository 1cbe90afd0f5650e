import { makeCrl } from '../../../src/certificates/crl.ts'
import { fileStorage } from '../../../src/storage/files/storage.ts'

// Makes one CRL after the other, to be killed in the middle; tells of each that is complete.
const state = { path: process.argv[2] ?? '', owner: null }
for (;;) {
  const der = await makeCrl(fileStorage(state), 'local', new Date('2001-01-01'))
  process.stdout.write(`${der.toString('base64')}\n`)
}
