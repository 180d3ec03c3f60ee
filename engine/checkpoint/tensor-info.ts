/** Where the tensors of a checkpoint lie, whatever kind of file holds them. */

/** A tensor in a file. */
export interface TensorInfo {
  readonly name: string;
  readonly file: string;
  /** Element type in the spelling of the file. */
  readonly dtype: string;
  /** Row-major; the last dimension is contiguous. */
  readonly shape: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
  /**
   * The rows of each head, so many of them, lie in the order 0, h/2, 1, h/2 + 1 … of those that the model has, h of a
   * head.
   */
  readonly interleavedHeadRows?: number;
  /** Every value has 1 added. */
  readonly holdsPlusOne?: boolean;
  /** Given where the rows do not simply lie one after the other: `offset` and `byteLength` are then of the first piece. */
  readonly packed?: PackedRows;
}

/** A tensor whose rows have to be made from pieces of files. */
export interface PackedRows {
  readonly pieces: readonly Pick<TensorInfo, 'file' | 'offset' | 'byteLength'>[];
  /** The rows one after the other, in the format that `dtype` says. */
  unpack(pieces: readonly Uint8Array[]): Uint8Array;
}

/** Every tensor of a checkpoint, by name. */
export interface TensorIndex {
  /** The file that lists them. */
  readonly file: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}
