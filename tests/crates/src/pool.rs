//! Provides a connection manager for the tests of pools.

use std::io::Error;

/// Makes empty connections for each pool library.
pub struct Manager;

impl deadpool::managed::Manager for Manager {
    type Type = ();
    type Error = Error;

    async fn create(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn recycle(
        &self,
        (): &mut (),
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Error> {
        Ok(())
    }
}

impl bb8::ManageConnection for Manager {
    type Connection = ();
    type Error = Error;

    async fn connect(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn is_valid(&self, (): &mut ()) -> Result<(), Error> {
        Ok(())
    }

    fn has_broken(&self, (): &mut ()) -> bool {
        false
    }
}

#[mobc::async_trait]
impl mobc::Manager for Manager {
    type Connection = ();
    type Error = Error;

    async fn connect(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn check(&self, (): ()) -> Result<(), Error> {
        Ok(())
    }
}
