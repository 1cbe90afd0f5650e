/** Who is to own the files that are written; with sudo the person who typed it. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** A directory of this program's own, and who is to own what is written there. */
export interface Directory {
  readonly path: string
  /** `null`: files keep this process's owner. */
  readonly owner: Owner | null
}
