/** Something the device cannot do or was asked wrongly: a shape, a format, an allocation, or a lost worker. */
export class DeviceError extends Error {
  override readonly name = 'DeviceError';
}
