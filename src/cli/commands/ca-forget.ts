export async function caForget(): Promise<never> {
  throw new Error('todo')
}
