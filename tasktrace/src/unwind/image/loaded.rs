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

/// The images that a walk has found. They stay loaded until this is dropped, because the thread that is walked may have
/// left their code, and may unload them.
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
        // SAFETY: with this flag, the function takes any address, and fails if no module has it. It writes the module to
        // the variable. If it succeeds, the module stays loaded until `FreeLibrary` is called for it, which only the
        // destructor of `LoadedImage` does.
        let found = unsafe { GetModuleHandleExW(FROM_ADDRESS, address, &raw mut module) } != 0;
        // SAFETY: the handle of a module is the address at which its image begins, and the image stays loaded until
        // this object is dropped. `Image` is not used later: only walks use it, which own this object.
        let image = found.then(|| unsafe { Image::at(module.expose_provenance()) })?;
        let loaded = LoadedImage { module, image };
        let image = loaded.image.clone();
        self.0.push(loaded);
        Some(image)
    }
}

impl Drop for LoadedImage {
    fn drop(&mut self) {
        // SAFETY: `image_at` got the handle from `GetModuleHandleExW`, which has incremented the module's count, and this
        // decrements it once.
        unsafe { FreeLibrary(self.module) };
    }
}
