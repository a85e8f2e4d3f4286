//! Finds the images that are loaded.

use std::ffi::c_void;
use std::ptr;

use super::function_table::Image;

#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetModuleHandleExW(flags: u32, address: *const c_void, module: *mut *mut c_void) -> i32;
    fn FreeLibrary(module: *mut c_void) -> i32;
}

/// The second argument of `GetModuleHandleExW` is an address in the module.
const FROM_ADDRESS: u32 = 4;

/// The images that a walk has found. They stay loaded until this is dropped: the thread goes on during the walk, and
/// could unload an image whose code it has left.
#[derive(Default)]
pub(super) struct LoadedImages(Vec<LoadedImage>);

/// An image that stays loaded as long as this exists.
struct LoadedImage {
    module: *mut c_void,
    image: Image,
}

impl LoadedImages {
    /// Returns the image that has this address.
    pub(super) fn image_at(&mut self, address: usize) -> Option<Image> {
        let mut known = self.0.iter().map(|loaded| &loaded.image);
        if let Some(image) = known.find(|image| image.contains(address)) {
            return Some(image.clone());
        }
        let mut module = ptr::null_mut();
        let address = ptr::without_provenance(address);
        // SAFETY: with this flag, the function takes any address, and fails if no module has it. It writes only to the
        // variable. If it succeeds, it has incremented the count of the module, which `LoadedImage` decrements again.
        let found = unsafe { GetModuleHandleExW(FROM_ADDRESS, address, &raw mut module) } != 0;
        // SAFETY: the handle of a module is the address at which its image begins. The loader has mapped as many bytes
        // as the headers say, and the image stays loaded until this object is dropped. The image and its clones are not
        // used later: only `walk` calls this function, and owns this object until the walk has ended.
        let image = found.then(|| unsafe { Image::at(module.expose_provenance()) })?;
        let loaded = LoadedImage { module, image };
        let image = loaded.image.clone();
        self.0.push(loaded);
        Some(image)
    }
}

impl Drop for LoadedImage {
    fn drop(&mut self) {
        // SAFETY: `image_at` got the handle from `GetModuleHandleExW`, which has incremented the count of the module
        // once for this value. No clone of the image is used any more: see `image_at`.
        unsafe { FreeLibrary(self.module) };
    }
}
